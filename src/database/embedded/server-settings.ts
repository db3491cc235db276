export type ServerSettings = Record<string, string | number>;

/** For an application that shares its machine. fsync and synchronous_commit are left on: this is the product's real data. */
const DEFAULTS: ServerSettings = {
  max_connections: 100,
  shared_buffers: '128MB',
  wal_compression: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  // Failed statements are the application's to log: here each duplicate e-mail address would add a line, with the address in it.
  log_min_messages: 'log',
};

export function socketSettings(directory: string): ServerSettings {
  return {
    listen_addresses: '',
    // The value is a list: quoted, a path may hold commas and blanks.
    unix_socket_directories: `"${directory.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
  };
}

export function loopbackSettings(port: number): ServerSettings {
  return { listen_addresses: '127.0.0.1', port };
}

/** Command line arguments, which nothing inside the data directory overrides. */
export function settingArguments(...settings: (ServerSettings | undefined)[]): string[] {
  const merged: ServerSettings = Object.assign({}, DEFAULTS, ...settings);
  return Object.entries(merged).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
