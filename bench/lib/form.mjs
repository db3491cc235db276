const BOUNDARY = 'gatehouse-bench-3f1c9b7e5d2a8046';

/** What is around a file in a multipart/form-data body. */
export const form = (filename, type = 'application/octet-stream') => ({
  contentType: `multipart/form-data; boundary=${BOUNDARY}`,
  head: Buffer.from(
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\nContent-Type: ${type}\r\n\r\n`,
  ),
  tail: Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
});
