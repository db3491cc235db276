import { CreateUsers1763700000000 } from './1763700000000-create-users.js';
import { IndexUserSearch1763700001000 } from './1763700001000-index-user-search.js';
import { CountUsers1763700002000 } from './1763700002000-count-users.js';
import { CreateSessions1763700003000 } from './1763700003000-create-sessions.js';
import { CreateUploads1763700004000 } from './1763700004000-create-uploads.js';
import { AccountUploads1763700005000 } from './1763700005000-account-uploads.js';
import { IndexUploadLists1763700006000 } from './1763700006000-index-upload-lists.js';
import { CountUsersByRow1763700007000 } from './1763700007000-count-users-by-row.js';
import { CreateChannels1763700008000 } from './1763700008000-create-channels.js';
import { AnnounceAccessChanges1763700009000 } from './1763700009000-announce-access-changes.js';
import { CreatePresence1763700010000 } from './1763700010000-create-presence.js';
import { CreateVolatileMessages1763700011000 } from './1763700011000-create-volatile-messages.js';
import { CreateMails1763700012000 } from './1763700012000-create-mails.js';
import { CreateAuditLog1763700013000 } from './1763700013000-create-audit-log.js';
import { IndexAdminLists1763700014000 } from './1763700014000-index-admin-lists.js';
import { IndexAllUploads1763700014500 } from './1763700014500-index-all-uploads.js';
import { CountByMonth1763700015000 } from './1763700015000-count-by-month.js';
import { CountFilesByMonth1763700015500 } from './1763700015500-count-files-by-month.js';
import { CreateApiKeys1763700016000 } from './1763700016000-create-api-keys.js';
import { CreateSecondFactors1763700017000 } from './1763700017000-create-second-factors.js';
import { CreateOneTimeTokens1763700018000 } from './1763700018000-create-one-time-tokens.js';
import { CreateSpentLoginTokens1763700019000 } from './1763700019000-create-spent-login-tokens.js';
import { AnnounceSecondFactors1763700020000 } from './1763700020000-announce-second-factors.js';
import { CreateEmailChanges1763700025000 } from './1763700025000-create-email-changes.js';
import { RememberVerification1763700026000 } from './1763700026000-remember-verification.js';

/** In their order. A test compares the list with the folder. */
export const migrations = [
  CreateUsers1763700000000,
  IndexUserSearch1763700001000,
  CountUsers1763700002000,
  CreateSessions1763700003000,
  CreateUploads1763700004000,
  AccountUploads1763700005000,
  IndexUploadLists1763700006000,
  CountUsersByRow1763700007000,
  CreateChannels1763700008000,
  AnnounceAccessChanges1763700009000,
  CreatePresence1763700010000,
  CreateVolatileMessages1763700011000,
  CreateMails1763700012000,
  CreateAuditLog1763700013000,
  IndexAdminLists1763700014000,
  IndexAllUploads1763700014500,
  CountByMonth1763700015000,
  CountFilesByMonth1763700015500,
  CreateApiKeys1763700016000,
  CreateSecondFactors1763700017000,
  CreateOneTimeTokens1763700018000,
  CreateSpentLoginTokens1763700019000,
  AnnounceSecondFactors1763700020000,
  CreateEmailChanges1763700025000,
  RememberVerification1763700026000,
];
