/** Whether all percent-encoding in a text is UTF-8 (RFC 3986, section 2.5). */
export function isPercentEncodedUtf8(text: string): boolean {
  if (!text.includes('%')) return true;
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
