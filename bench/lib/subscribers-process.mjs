// Many subscribers of one channel, told what to do by message (`subscribers.mjs`).
import { now } from './clock.mjs';
import { SocketClient } from './socket-client.mjs';

const OPENED_AT_ONCE = 100;
const WAIT_MS = 180_000;
/** As the stock client has them. */
const ATTEMPT_MS = 20_000;
const BACK_OFF = { firstMs: 1000, mostMs: 5000, jitter: 0.5 };
/** Of those who do not wait: after an attempt that failed. */
const AGAIN_MS = 100;

const members = [];
let subscribed = 0;
let latest = { stamps: [], count: 0 };
/** Whether those that were cut come back by themselves, `at once` or after the stock client's `back-off`; else they wait. */
let comeBack = null;
let watchers = [];

class Member {
  /** Of the last message, and when it came. */
  sequence = 0;
  at = 0;
  epoch;
  isSubscribed = false;
  isWaiting = false;
  attempts = 0;
  repeated = 0;
  missed = 0;
  failures = [];

  constructor(place, options) {
    this.place = place;
    this.options = options;
    this.wantsText = options.follows;
  }

  open() {
    const { url, tokens, channel, follows } = this.options;
    const resume = follows && this.epoch !== undefined && { after: this.sequence, epoch: this.epoch };
    const token = tokens[this.place % tokens.length];
    this.isWaiting = false;
    const client = new SocketClient({ url, token, subscription: { channel, ...resume } }, this);
    this.client = client;
    this.deadline = setTimeout(() => client.close('timed out'), ATTEMPT_MS);
  }

  subscribed({ sequence, epoch, recovered }) {
    clearTimeout(this.deadline);
    this.isSubscribed = true;
    this.attempts = 0;
    if (this.epoch === undefined) this.sequence = sequence;
    else if (!recovered) this.failures.push('not recovered');
    this.epoch = epoch;
    subscribed++;
    changed();
  }

  message(message) {
    if (!message) this.stamp();
    else this.follow(message.sequence);
  }

  stamp() {
    if (!latest.stamps[this.place]) latest.count++;
    latest.stamps[this.place] = now();
    if (latest.count === members.length) changed();
  }

  follow(sequence) {
    if (sequence <= this.sequence) this.repeated++;
    else this.missed += sequence - this.sequence - 1;
    this.sequence = sequence;
    this.at = now();
    changed();
  }

  closed(reason) {
    clearTimeout(this.deadline);
    if (this.isSubscribed) subscribed--;
    else this.failures.push(reason);
    this.isSubscribed = false;
    if (comeBack) setTimeout(() => this.open(), comeBack === 'at once' ? AGAIN_MS : backOff(this.attempts++));
    else this.isWaiting = true;
    changed();
  }
}

function backOff(attempts) {
  const { firstMs, mostMs, jitter } = BACK_OFF;
  return Math.min(mostMs, firstMs * 2 ** attempts * (1 + jitter * (Math.random() * 2 - 1)));
}

function changed() {
  for (const watcher of watchers) watcher();
}

/** Looks whenever something has changed, though once in a turn of the loop at most. */
function until(isSo, describe) {
  return new Promise((resolve, reject) => {
    let scheduled = null;
    const end = (settle, value) => {
      clearTimeout(timer);
      clearImmediate(scheduled);
      watchers = watchers.filter((one) => one !== watcher);
      settle(value);
    };
    const look = () => {
      scheduled = null;
      if (isSo()) end(resolve);
    };
    const watcher = () => (scheduled ??= setImmediate(look));
    const timer = setTimeout(() => end(reject, new Error(`${describe()}: ${JSON.stringify(failures())}`)), WAIT_MS);
    watchers.push(watcher);
    watcher();
  });
}

function failures() {
  const counts = {};
  for (const reason of members.flatMap((member) => member.failures)) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}

const sum = (key) => members.reduce((total, member) => total + member[key], 0);

const jobs = {
  /** Until `count` have subscribed: a hundred at once, which try again when they fail. */
  async open({ count, ...options }) {
    const from = now();
    comeBack = 'at once';
    while (members.length < count) {
      const enough = members.length - OPENED_AT_ONCE;
      await until(
        () => subscribed > enough,
        () => `Only ${subscribed} of ${members.length} have subscribed`,
      );
      const member = new Member(members.length, options);
      members.push(member);
      member.open();
    }
    await until(
      () => subscribed === count,
      () => `Only ${subscribed} of ${count} have subscribed`,
    );
    comeBack = null;
    return { seconds: (now() - from) / 1000, failures: failures() };
  },

  close() {
    for (const { client } of members) client.close('no longer needed');
    members.length = 0;
  },

  /** The next message is the one that `received` asks for. */
  expect() {
    latest = { stamps: members.map(() => 0), count: 0 };
  },

  /** When each has got it. */
  async received() {
    await until(
      () => latest.count === members.length,
      () => `Only ${latest.count} of ${members.length} have got the message`,
    );
    return latest.stamps;
  },

  /** What is to happen when they are cut; `null`: they wait. */
  comeBack({ how }) {
    comeBack = how;
    for (const member of members) Object.assign(member, { repeated: 0, missed: 0, failures: [], attempts: 0 });
  },

  /** All that wait, at the same moment. */
  release() {
    comeBack = 'at once';
    for (const member of members) if (member.isWaiting) member.open();
  },

  /** When each had everything up to the sequence, and what went wrong on the way. */
  async recovered({ sequence }) {
    const isBack = (member) => member.isSubscribed && member.sequence >= sequence;
    await until(
      () => members.every(isBack),
      () => `Only ${members.filter(isBack).length} of ${members.length} are back`,
    );
    comeBack = null;
    return {
      at: members.map(({ at }) => at),
      missed: sum('missed'),
      repeated: sum('repeated'),
      failures: failures(),
    };
  },
};

process.once('disconnect', () => process.exit());
process.on('message', async ({ id, kind, options }) => {
  try {
    process.send({ id, result: await jobs[kind](options) });
  } catch (error) {
    process.send({ id, error: error.stack });
  }
});
