import { RouteConfig } from '@nestjs/platform-fastify';
import { FASTIFY_ROUTE_CONFIG_METADATA } from '@nestjs/platform-fastify/constants.js';
import type { RateLimitGroup, RouteSettings } from './request.js';

const CREDENTIALS_BODY_BYTES = 16 * 1024;

/** Adds to the settings that other decorators gave the same route (`@RouteConfig()` alone would replace them). */
function settings(added: RouteSettings): ClassDecorator & MethodDecorator {
  const addTo = (handler: object) => {
    const present = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG_METADATA, handler) as RouteSettings | undefined;
    (RouteConfig({ ...added, ...present }) as (target: object, key?: string, descriptor?: object) => void)(handler);
  };
  return (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (descriptor) return addTo(descriptor.value as object);
    const prototype = (target as { prototype: Record<string, unknown> }).prototype;
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name !== 'constructor' && typeof prototype[name] === 'function') addTo(prototype[name]);
    }
  };
}

/** Counts the route in a group of its own; without it a route counts for its user, or for the address of a guest. */
export const RateLimit = (group: RateLimitGroup, message?: string) =>
  settings({ rateLimit: group, rateLimitMessage: message });

/** For bodies that carry credentials: at most 16 KiB, so that a huge password never reaches the hash. */
export const CredentialsBody = (options: { acceptsForm?: boolean } = {}) =>
  settings({ bodyLimit: CREDENTIALS_BODY_BYTES, acceptsForm: options.acceptsForm });

/** The route reads its body itself, of this media type and of any length. It is called when nothing but the headers has come. */
export const StreamedBody = (mediaType: string) => settings({ streamedBody: mediaType });

/** For browsers' EventSource, which cannot send a header: the query may carry a stream ticket instead. */
export const AcceptsTicket = () => settings({ acceptsTicket: true });
