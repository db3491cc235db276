import { AppError } from '../common/errors/app-error.js';

export class ExportInProgressError extends AppError {
  constructor() {
    super('conflict', 'export_in_progress', 'Another export of your data is still being sent');
  }
}
