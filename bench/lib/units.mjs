import { brief } from './summary.mjs';

export const gigabytes = (bytes) => `${brief(bytes / 1e9)} GB`;
export const seconds = (microseconds) => microseconds / 1e6;
export const count = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '–');
export const cores = (value) => `${brief(value)} cores`;
export const percent = (share) => `${brief(share * 100)} %`;
/** What one core does in a second. */
export const perCore = (microseconds) => (microseconds > 0 ? count(1e6 / microseconds) : '–');
