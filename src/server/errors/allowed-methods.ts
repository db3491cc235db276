import type { FastifyInstance } from 'fastify';
import findMyWay from 'find-my-way';

/** Knows which methods each path takes, for the `Allow` header of a 405 (RFC 9110, section 15.5.6). */
export class AllowedMethods {
  private readonly routers = new Map<string, ReturnType<typeof findMyWay>>();

  /** Must come before the first route is added. */
  watch(server: FastifyInstance): void {
    server.addHook('onRoute', ({ method, url }) => {
      for (const name of [method].flat()) this.add(name, url);
    });
  }

  /** The methods that a path takes; none when there is no such path. */
  of(path: string): string[] {
    return [...this.routers].filter(([, router]) => router.find('GET', path)).map(([method]) => method);
  }

  private add(method: string, url: string): void {
    let router = this.routers.get(method);
    if (!router) this.routers.set(method, (router = findMyWay({ ignoreTrailingSlash: true })));
    // Every method has a router of its own, in which all routes are GET: only the path is of interest.
    if (!url.includes('*') && !router.hasRoute('GET', url)) router.on('GET', url, () => {});
  }
}
