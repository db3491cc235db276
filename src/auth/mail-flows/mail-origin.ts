import type { Origin } from '../../common/http/client-info.js';

/** An origin, in the data of a queued mail. */
export const originData = ({ ipAddress, userAgent, requestId }: Origin): Record<string, unknown> => ({
  ip_address: ipAddress,
  user_agent: userAgent,
  request_id: requestId,
});

export function originOf(data: Record<string, unknown>): Origin {
  const text = (name: string) => (typeof data[name] === 'string' ? data[name] : null);
  return { ipAddress: text('ip_address'), userAgent: text('user_agent'), requestId: text('request_id') };
}

const PROGRAMS: [RegExp, string][] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\b(OPR|OPT|Opera)\//, 'Opera'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|Chromium|CriOS)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
  [/^curl\//, 'curl'],
  [/^PostmanRuntime\//, 'Postman'],
  [/^(python|aiohttp|httpx)/i, 'a Python program'],
  [/^(node|undici|axios)/i, 'a Node.js program'],
  [/^okhttp\//, 'an Android app'],
];

const SYSTEMS: [RegExp, string][] = [
  [/\bAndroid\b/, 'Android'],
  [/\b(iPhone|iPad)\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\b(Macintosh|Mac OS X)\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
];

const find = (names: [RegExp, string][], text: string) => names.find(([pattern]) => pattern.test(text))?.[1];

/**
 * A `User-Agent` in words of ours. What a client calls itself is up to whoever runs it, and a mail must not carry the message of a thief
 * to the owner.
 */
export function describeAgent(userAgent: string | null): string {
  const program = find(PROGRAMS, userAgent ?? '') ?? 'an unknown program';
  const system = find(SYSTEMS, userAgent ?? '');
  return system ? `${program} on ${system}` : program;
}

const TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });

export const describeTime = (at: Date): string => `This was on ${TIME.format(at)} UTC.`;

/** When, from where and with what. */
export const describeOrigin = (at: Date, { ipAddress, userAgent }: Origin): string =>
  ipAddress === null
    ? describeTime(at)
    : `This was on ${TIME.format(at)} UTC, from the address ${ipAddress}, with ${describeAgent(userAgent)}.`;
