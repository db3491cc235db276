import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AppConfig } from '../config/app-config.js';
import { DownloadsController } from './downloads/downloads.controller.js';
import { DownloadsService } from './downloads/downloads.service.js';
import { FilesAdminRepository } from './files-admin.repository.js';
import { FilesListRepository } from './files-list.repository.js';
import { HashWorkers } from './hashing/hash-workers.js';
import { LiveUploads } from './intake/live-uploads.js';
import { UploadFinisher } from './intake/upload-finisher.js';
import { UploadIntake } from './intake/upload-intake.service.js';
import { ResumableController } from './resumable/resumable.controller.js';
import { ResumableUploads } from './resumable/resumable-uploads.js';
import { TusServer } from './resumable/tus-server.js';
import { UploadLocker } from './resumable/upload-locker.js';
import { ReservationsRepository } from './reservations.repository.js';
import { BlobRemover } from './storage/blob-remover.js';
import { BlobStorage } from './storage/blob-storage.js';
import { createStorage } from './storage/create-storage.js';
import { StorageService } from './storage/storage.service.js';
import { StoredFile } from './stored-file.entity.js';
import { UploadsExportService } from './uploads-export.service.js';
import { UploadsAdminService } from './uploads-admin.service.js';
import { UploadsController } from './uploads.controller.js';
import { UploadsRepository } from './uploads.repository.js';
import { UploadsService } from './uploads.service.js';
import { Reconciler } from './upkeep/reconciler.js';
import { StorageCheck } from './upkeep/storage-check.js';
import { StorageInspector } from './upkeep/storage-inspector.js';
import { UpkeepRepository } from './upkeep/upkeep.repository.js';

@Module({
  imports: [TypeOrmModule.forFeature([StoredFile])],
  // The routes of the protocol come before `:id`.
  controllers: [ResumableController, UploadsController, DownloadsController],
  providers: [
    HashWorkers,
    {
      provide: BlobStorage,
      inject: [AppConfig, HashWorkers],
      useFactory: (config: AppConfig, hashes: HashWorkers) => createStorage(config, hashes),
    },
    StorageService,
    BlobRemover,
    UploadsRepository,
    FilesListRepository,
    FilesAdminRepository,
    ReservationsRepository,
    LiveUploads,
    UploadFinisher,
    UploadIntake,
    UploadsService,
    UploadsAdminService,
    UploadsExportService,
    DownloadsService,
    ResumableUploads,
    UploadLocker,
    TusServer,
    UpkeepRepository,
    StorageInspector,
    Reconciler,
    StorageCheck,
  ],
  exports: [UploadsService, UploadsAdminService, UploadsExportService, StorageService, LiveUploads],
})
export class UploadsModule {}
