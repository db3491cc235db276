/** The end of a program that does one job, told and answered by message. */
export function takeJob(jobs) {
  process.once('disconnect', () => process.exit(1));
  process.once('message', async ({ kind, options }) => {
    const before = process.cpuUsage();
    const answer = await jobs[kind](options);
    const { user, system } = process.cpuUsage(before);
    process.send({ ...answer, generatorMicroseconds: user + system }, () => process.exit(0));
  });
}
