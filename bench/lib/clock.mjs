/** Milliseconds of the clock that all processes of the machine share; `performance.now()` begins anew in each. */
export const now = () => Number(process.hrtime.bigint()) / 1e6;
