import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AppConfig } from '../config/app-config.js';
import { DownloadsController } from './downloads/downloads.controller.js';
import { DownloadsService } from './downloads/downloads.service.js';
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
import { LocalStorage } from './storage/local-storage.js';
import { S3Storage } from './storage/s3-storage.js';
import { StorageService } from './storage/storage.service.js';
import { StoredFile } from './stored-file.entity.js';
import { UploadsController } from './uploads.controller.js';
import { UploadsRepository } from './uploads.repository.js';
import { UploadsService } from './uploads.service.js';
import { Reconciler } from './upkeep/reconciler.js';
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
      useFactory: ({ uploads }: AppConfig, hashes: HashWorkers) =>
        uploads.s3
          ? new S3Storage(uploads.s3, uploads.directory, hashes, { maxFileBytes: uploads.maxFileBytes })
          : new LocalStorage(uploads.directory, hashes),
    },
    StorageService,
    BlobRemover,
    UploadsRepository,
    FilesListRepository,
    ReservationsRepository,
    LiveUploads,
    UploadFinisher,
    UploadIntake,
    UploadsService,
    DownloadsService,
    ResumableUploads,
    UploadLocker,
    TusServer,
    UpkeepRepository,
    StorageInspector,
    Reconciler,
  ],
  exports: [UploadsService, StorageService],
})
export class UploadsModule {}
