import { Injectable } from '@nestjs/common';
import { Counter, Registry } from 'prom-client';
import { DomainEvents } from '../common/events/domain-events.js';
import { AppConfig } from '../config/app-config.js';
import { LiveUploads } from '../uploads/intake/live-uploads.js';
import { StorageService } from '../uploads/storage/storage.service.js';
import { UploadCompletedEvent } from '../uploads/uploads.events.js';
import { addGauge, impatiently } from './gauge.js';

/** Files coming in, and the room that is left for them. */
@Injectable()
export class UploadMetrics {
  constructor(registry: Registry, events: DomainEvents, live: LiveUploads, storage: StorageService, config: AppConfig) {
    const registers = [registry];
    const completed = { name: 'gatehouse_uploads_completed_total', help: 'Files that this node has received' };
    const uploads = new Counter({ ...completed, registers });
    const size = { name: 'gatehouse_upload_bytes_total', help: 'Bytes of the files that this node has received' };
    const bytes = new Counter({ ...size, registers });
    events.on(UploadCompletedEvent, ({ file }) => {
      uploads.inc();
      bytes.inc(file.fileSize);
    });
    const receiving = { name: 'gatehouse_uploads_in_progress', help: 'Uploads that this node is receiving' };
    addGauge(registry, receiving, () => live.count);
    const aggregator = 'max' as const;
    const used = {
      name: 'gatehouse_storage_used_bytes',
      help: 'Of all files of all nodes, and of what is reserved',
      aggregator,
    };
    addGauge(
      registry,
      used,
      impatiently(() => storage.usedBytes()),
    );
    const quota = { name: 'gatehouse_storage_quota_bytes', help: 'What all files together may take', aggregator };
    addGauge(registry, quota, () => config.uploads.storageQuotaBytes);
  }
}
