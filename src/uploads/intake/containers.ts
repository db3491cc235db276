/** Stands for whichever document of Office Open XML is claimed, as `application/x-cfb` does for the older ones. */
export const OPEN_XML_SIGNATURE = 'application/x-ooxml';

/** Office Open XML, with templates and macros, and Visio, which is laid out alike. */
const OPEN_XML = /^application\/(vnd\.openxmlformats-officedocument\.|vnd\.ms-.*\.macroenabled\.12$|vnd\.visio$)/;

/** What lies in a Compound File (MS-CFB), whose signature tells no more. */
const COMPOUND =
  /^application\/(msword|vnd\.(ms-excel|ms-powerpoint|ms-outlook|ms-project|ms-works|visio)|x-mspublisher|x-msi)$/;

/** Zip archives whose first entries need not tell them from any other. */
const ZIPPED =
  /^application\/(.*\+zip|java-archive|vnd\.android\.package-archive|x-xpinstall|oxps|vnd\.(ms-xpsdocument|apple\.(pages|numbers|keynote)|google-earth\.kmz))$/;

const OPEN_DOCUMENT = /^application\/vnd\.oasis\.opendocument\./;

/** Signature → types that files with it have as well: containers that tell little of what is in them, and supersets. */
const ALTERNATIVES: Record<string, readonly string[]> = {
  'image/apng': ['image/png'],
  'image/heif': ['image/heic', 'image/avif'],
  'image/tiff': ['image/x-adobe-dng', 'image/x-nikon-nef', 'image/x-sony-arw', 'image/x-canon-cr2'],
  'video/mp4': ['audio/mp4', 'video/x-m4v', 'video/quicktime', 'video/3gpp', 'video/3gpp2'],
  'audio/mp4': ['video/mp4'],
  'video/quicktime': ['video/mp4'],
  'video/webm': ['audio/webm'],
  'video/matroska': ['audio/x-matroska'],
  'audio/ogg': ['application/ogg'],
  'application/vnd.ms-asf': ['video/x-ms-asf', 'video/x-ms-wmv', 'audio/x-ms-wma'],
  'video/x-ms-asf': ['video/x-ms-wmv'],
  'audio/x-ms-asf': ['audio/x-ms-wma'],
  'application/pdf': ['application/postscript'], // Illustrator's .ai
};

/** Whether a file with this signature may be of a type that the signature does not name. */
export function mayContain(signature: string, type: string): boolean {
  switch (signature) {
    case 'application/x-cfb':
      return COMPOUND.test(type);
    case OPEN_XML_SIGNATURE:
      return OPEN_XML.test(type) || type === 'application/zip';
    // Not the office documents: what a real one begins with gives it away (see `detectSignature`).
    case 'application/zip':
      return ZIPPED.test(type);
    // The name under which SVG and the like are detected.
    case 'application/xml':
      return type.endsWith('+xml') || type === 'text/html';
    default:
      return (type === 'application/zip' && isZip(signature)) || !!ALTERNATIVES[signature]?.includes(type);
  }
}

const isZip = (signature: string) => [OPEN_XML, OPEN_DOCUMENT, ZIPPED].some((family) => family.test(signature));

/** Types that a container's signature does not tell apart, so that only the claims do. */
export const isOfficeType = (type: string): boolean => COMPOUND.test(type) || OPEN_XML.test(type);
