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
];
