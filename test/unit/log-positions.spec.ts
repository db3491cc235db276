import { LogPositions } from '../../src/database/replicas/log-positions.js';

describe('how far a replica is behind', () => {
  const positions = new LogPositions();
  positions.add(100n, 1_000);
  positions.add(200n, 2_000);
  positions.add(200n, 3_000);
  positions.add(300n, 4_000);

  it.each([
    ['has all that was there when the primary was asked last', 300n, 500],
    ['is ahead of what the primary said, because that went on', 350n, 500],
    ['has what the primary had then', 299n, 1_500],
    ['is where the primary was twice: the later time counts', 200n, 1_500],
    ['is far behind', 150n, 3_500],
  ])('%s', (_what, position, lag) => {
    expect(positions.lagOf(position, 4_500)).toBe(lag);
  });

  it('is not known before the primary has been seen there', () => {
    expect(positions.lagOf(99n, 4_500)).toBeNull();
    expect(new LogPositions().lagOf(1n, 0)).toBeNull();
  });

  it('is more than anybody puts up with when it was not seen there for as long as is remembered', () => {
    const long = new LogPositions();
    for (let second = 0; second < 100; second++) long.add(BigInt(1_000 + second), second * 1_000);
    expect(long.lagOf(999n, 100_000)).toBe(Infinity);
    expect(long.lagOf(1_000n, 100_000)).toBe(Infinity);
    expect(long.lagOf(1_099n, 100_000)).toBe(1_000);
  });
});
