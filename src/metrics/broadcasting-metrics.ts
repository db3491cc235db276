import { Injectable } from '@nestjs/common';
import { Counter, Registry } from 'prom-client';
import { MessagesService } from '../broadcasting/messages.service.js';
import { TrafficService } from '../broadcasting/traffic.service.js';
import { addLabelledGauge } from './gauge.js';

/** Live connections and what goes over them. */
@Injectable()
export class BroadcastingMetrics {
  constructor(registry: Registry, messages: MessagesService, traffic: TrafficService) {
    const registers = [registry];
    new Counter({
      name: 'gatehouse_messages_published_total',
      help: 'Messages that clients of this node have published',
      labelNames: ['kind'],
      registers,
      collect() {
        this.reset();
        for (const [kind, count] of Object.entries(messages.published)) this.inc({ kind }, count);
      },
    });
    new Counter({
      name: 'gatehouse_messages_delivered_total',
      help: 'Messages times their readers on this node; what is read from the history is not in it',
      registers,
      collect() {
        this.reset();
        this.inc(traffic.delivered);
      },
    });
    const connections = { name: 'gatehouse_live_connections', help: 'Sockets and event streams on this node' };
    addLabelledGauge(registry, { ...connections, label: 'kind' }, () => {
      const { sockets, streams } = traffic.connections();
      return { socket: sockets, stream: streams };
    });
  }
}
