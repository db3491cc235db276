import type { ManagerOptions, Socket, SocketOptions } from 'socket.io-client';

const NAMESPACE = '/broadcasting';

export type SocketTransport = 'websocket' | 'polling';

/** Not connected yet. The library is loaded when it is first needed, so that programs without live messages do not have it. */
export async function socketTo(baseURL: string, token: string, transports: SocketTransport[]): Promise<Socket> {
  const { io } = await import('socket.io-client');
  const { origin, pathname } = new URL(baseURL);
  const options: Partial<ManagerOptions & SocketOptions> = {
    // In the first packet, never in the URL.
    auth: { token },
    path: `${pathname.replace(/\/+$/, '')}/socket.io`,
    transports,
    tryAllTransports: true,
    forceNew: true,
    // Links come one after the other, and whoever makes them decides when.
    reconnection: false,
    autoConnect: false,
  };
  return io(origin + NAMESPACE, options);
}
