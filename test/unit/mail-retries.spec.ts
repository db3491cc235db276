import { retryDelaySeconds } from '../../src/mail/retry-schedule.js';

describe('retries of a mail', () => {
  it('come ever later, up to an hour', () => {
    const delays = Array.from({ length: 9 }, (_, at) => retryDelaySeconds(at + 1, 0.5));
    expect(delays).toEqual([10, 30, 120, 600, 1800, 3600, 3600, 3600, 3600]);
  });

  it('are spread by a fifth either way', () => {
    expect([retryDelaySeconds(4, 0), retryDelaySeconds(4, 1)]).toEqual([480, 720]);
    expect(retryDelaySeconds(4)).toBeGreaterThanOrEqual(480);
    expect(retryDelaySeconds(4)).toBeLessThanOrEqual(720);
  });
});
