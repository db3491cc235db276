import type { components, operations } from './schema.js';

type Schemas = components['schemas'];

/** The query parameters of an operation. */
export type Query<Operation extends keyof operations> = NonNullable<operations[Operation]['parameters']['query']>;

/** What any list takes except for the choice of the page. */
export type Filters<Operation extends keyof operations> = Omit<Query<Operation>, 'page' | 'size' | 'skip' | 'limit'>;

/** One page of a list. */
export interface Page<Item> {
  items: Item[];
  /** How many there are on all pages. */
  total: number;
  /** 1-based. */
  page: number;
  size: number;
  pages: number;
  skip: number;
  limit: number;
}

export type User = Schemas['UserResponse'];
/** How one user sees another. */
export type PublicUser = Schemas['PublicUserResponse'];
export type Role = Schemas['Role'];
export type RegisterInput = Schemas['RegisterDto'];
export type UpdateUserInput = Schemas['UpdateUserDto'];

export type LoginInput = Schemas['LoginDto'];
export type LoginResult = Schemas['LoginResponse'];
export type TokenPair = Schemas['TokenPairResponse'];
export type ChangePasswordInput = Schemas['ChangePasswordDto'];
export type ResetPasswordInput = Schemas['ResetPasswordDto'];
export type Message = Schemas['MessageResponse'];
export type Session = Schemas['SessionResponse'];

export type MfaStatus = Schemas['MfaStatusResponse'];
export type MfaSetupInput = Schemas['SetUpMfaDto'];
export type MfaSetup = Schemas['MfaSetupResponse'];
export type MfaConfirmInput = Schemas['ConfirmMfaDto'];
export type MfaProof = Schemas['MfaProofDto'];
export type MfaVerifyInput = Schemas['VerifyMfaDto'];
export type RecoveryCodes = Schemas['RecoveryCodesResponse'];

export type Scope = Schemas['Scope'];
export type ApiKey = Schemas['ApiKeyResponse'];
/** With `key`, which is shown this once. */
export type NewApiKey = Schemas['NewApiKeyResponse'];
export type CreateApiKeyInput = Schemas['CreateApiKeyDto'];

/** A file that was uploaded, without its bytes. */
export type StoredFile = Schemas['FileResponse'];
export type UpdateFileInput = Schemas['UpdateFileDto'];
export type BulkDeleteResult = Schemas['BulkDeleteResponse'];
export type SignedUrl = Schemas['SignedUrlResponse'];

export type Channel = Schemas['ChannelResponse'];
export type UpdateChannelInput = Schemas['UpdateChannelDto'];
export type Member = Schemas['MemberResponse'];
export type PublishInput = Omit<Schemas['PublishDto'], 'data'> & { data?: unknown };
/** `sequence` is null for a message that is not durable. */
export type ChannelMessage<Data = unknown> = Omit<Schemas['ChannelMessageResponse'], 'data'> & { data: Data };
export type History<Data = unknown> = Omit<Schemas['HistoryResponse'], 'items'> & { items: ChannelMessage<Data>[] };
export type BroadcastingStats = Schemas['StatsResponse'];
export type StreamTicket = Schemas['StreamTicketResponse'];
export type AuthoriseInput = Schemas['AuthoriseDto'];
export type Authorised = Schemas['AuthorisedResponse'];

export type AdminUser = Schemas['AdminUserResponse'];
export type UpdateStandingInput = Schemas['UpdateStandingDto'];
export type AuditAction = Schemas['AuditAction'];
export type AuditEntry = Schemas['AuditEntryResponse'];
export type Statistics = Schemas['StatisticsResponse'];

export type Liveness = Schemas['LivenessResponse'];
export type HealthReport = Schemas['HealthResponse'];
/** The body of every error. */
export type ErrorBody = Schemas['ErrorResponse'] | Schemas['ValidationErrorResponse'];
