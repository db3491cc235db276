export type Strings = Record<string, string>;

export interface Document {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  [field: string]: unknown;
}
export interface Selector {
  matchLabels: Strings;
}
export interface Probe {
  httpGet: { path: string; port: string };
}
export interface Container {
  name: string;
  image: string;
  env: { name: string; value: string }[];
  envFrom: { configMapRef?: { name: string }; secretRef?: { name: string } }[];
  ports: { name: string; containerPort: number }[];
  startupProbe: Probe;
  readinessProbe: Probe;
  livenessProbe: Probe;
  lifecycle: { preStop: { sleep: { seconds: number } } };
  securityContext: object;
  volumeMounts: { name: string; mountPath: string }[];
}
export interface Deployment {
  spec: {
    replicas?: number;
    selector: Selector;
    template: {
      metadata: { labels: Strings };
      spec: {
        terminationGracePeriodSeconds: number;
        securityContext: object;
        topologySpreadConstraints: { labelSelector: Selector; whenUnsatisfiable: string }[];
        containers: Container[];
        volumes: { name: string; emptyDir: object }[];
      };
    };
  };
}
export interface Service {
  metadata: { name: string };
  spec: { selector: Strings; ports: { name: string; targetPort: string }[] };
}
export interface Ingress {
  spec: {
    rules: { http: { paths: { path: string; backend: { service: { name: string; port: { name: string } } } }[] } }[];
  };
}

/** Remembers what of it is asked for. */
function watch(value: object): { proxy: object; unread: (at: string) => string[] } {
  const seen = new Set<string>();
  const inner = new Map<string, ReturnType<typeof watch>>();
  const proxy = new Proxy(value, {
    get(target: Record<string, unknown>, key: string) {
      const field = target[key];
      if (!Object.hasOwn(target, key)) return field;
      seen.add(key);
      if (field === null || typeof field !== 'object') return field;
      if (!inner.has(key)) inner.set(key, watch(field));
      return inner.get(key)?.proxy;
    },
  });
  const unread = (at: string): string[] =>
    Object.keys(value).flatMap((key) =>
      seen.has(key) ? (inner.get(key)?.unread(`${at}/${key}`) ?? []) : [`${at}/${key} is no field`],
    );
  return { proxy, unread };
}

/** By the schemas of Kubernetes. They let unknown fields pass, but never look at them: those are the ones that nobody has asked for. */
export async function faultsOf(document: Document): Promise<string[]> {
  const { apiVersion, kind } = document;
  const models = (await import(`kubernetes-models/${apiVersion}/${kind}`)) as Record<
    string,
    { prototype: { validate(): void } }
  >;
  const { proxy, unread } = watch(document);
  const faults: string[] = [];
  try {
    models[kind].prototype.validate.call(proxy);
  } catch (error) {
    faults.push(...(error as Error).message.split(', '));
  }
  return [...faults, ...unread('data')];
}
