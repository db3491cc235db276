export * from './errors.js';
export { Gatehouse, type GatehouseOptions } from './gatehouse.js';
export type { CallOptions } from './http/transport.js';
export { Connection, type ConnectOptions } from './live/connection.js';
export type { Listener } from './live/emitter.js';
export type { SocketTransport } from './live/socket.js';
export type { StreamOptions } from './live/stream.js';
export type { SubscribeOptions, Subscription } from './live/subscription.js';
export type {
  Closed,
  ConnectionEvents,
  ConnectionState,
  Ended,
  Gap,
  Lost,
  Position,
  Present,
  SessionEndReason,
  StartOptions,
  StreamEvent,
  SubscriptionEvents,
} from './live/types.js';
export { Admin, AdminUploads, AdminUsers, AdminUserSessions, AuditLog } from './resources/admin.js';
export { Auth, Mfa, Sessions } from './resources/auth.js';
export { Broadcasting, ChannelMembers, Channels } from './resources/broadcasting.js';
export { Health } from './resources/health.js';
export { type ResumableLimits, Uploads } from './resources/uploads.js';
export { ApiKeys, Users } from './resources/users.js';
export type { SessionEvent, SessionListener } from './session/session.js';
export { localStorageTokens, memoryTokens, type Tokens, type TokenStorage } from './session/tokens.js';
export type * from './types.js';
export { type ByteRange, Download, type DownloadOptions } from './uploads/download.js';
export { localStorageUploads, type UploadStorage } from './uploads/resume.js';
export type { FileDetails, UploadSource } from './uploads/source.js';
export type { UploadOptions } from './uploads/upload.js';
export type { UploadProgress } from './uploads/watch.js';
