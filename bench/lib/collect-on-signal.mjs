// Loaded before a server whose memory is measured (`--expose-gc --import`): what nobody needs any more is given back when told, on
// whichever side.
process.on('SIGUSR2', () => globalThis.gc());
