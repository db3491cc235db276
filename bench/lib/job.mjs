/** The end of a program that does one job, told and answered by message. */
export function takeJob(jobs) {
  process.once('disconnect', () => process.exit(1));
  process.once('message', async ({ kind, options }) => {
    const answer = await jobs[kind](options);
    process.send(answer, () => process.exit(0));
  });
}
