import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load, loadAll } from 'js-yaml';
import { ConfigurationError, readEnvironment } from '../../src/config/environment.js';
import { type VariableName, variables } from '../../src/config/variables.js';
import {
  type Deployment,
  type Document,
  faultsOf,
  type Ingress,
  type Probe,
  type Selector,
  type Service,
  type Strings,
} from '../support/kubernetes.js';

const root = join(__dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const folder = 'deploy/kubernetes';
const files = readdirSync(join(root, folder))
  .filter((name) => name !== 'kustomization.yaml')
  .sort();
const documents = files.flatMap((name) => loadAll(read(`${folder}/${name}`)) as Document[]);
const kustomization = load(read(`${folder}/kustomization.yaml`)) as {
  resources: string[];
  images: { name: string; newTag: string }[];
};
const all = <T>(kind: string) => documents.filter((document) => document.kind === kind) as unknown as T[];
const one = <T>(kind: string): T => {
  const [found, ...more] = all<T>(kind);
  if (!found || more.length > 0) throw new Error(`There is not one ${kind}`);
  return found;
};

const deployment = one<Deployment>('Deployment');
const pod = deployment.spec.template;
const [container] = pod.spec.containers;
const settings = one<{ data: Strings }>('ConfigMap').data;
const secrets = one<{ stringData: Strings }>('Secret').stringData;
const own = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));

describe('the manifests', () => {
  it.each(documents.map((document) => [`${document.kind} ${document.metadata.name}`, document] as const))(
    '%s is what Kubernetes takes',
    async (_name, document) => {
      expect(await faultsOf(document)).toEqual([]);
    },
  );

  it.each<[string, RegExp, (broken: Deployment) => unknown]>([
    ['an unknown field', /^data\/specs is no field$/, (broken) => Object.assign(broken, { specs: {} })],
    [
      'an unknown field far inside',
      /^data\/spec\/template\/spec\/containers\/0\/livenessProbe\/httpGet\/pth is no field$/,
      (broken) => Object.assign(broken.spec.template.spec.containers[0].livenessProbe.httpGet, { pth: '/health' }),
    ],
    ['a text for a number', /replicas must be integer/, (broken) => Object.assign(broken.spec, { replicas: '3' })],
    [
      'a missing field',
      /must have required property selector/,
      (broken) => Object.assign(broken.spec, { selector: undefined }),
    ],
    [
      'a word of its own',
      /whenUnsatisfiable must be equal to one of the allowed values/,
      (broken) => (broken.spec.template.spec.topologySpreadConstraints[0].whenUnsatisfiable = 'Whatever'),
    ],
  ])('with %s would be found', async (_name, fault, breakIt) => {
    const broken = structuredClone(deployment);
    breakIt(broken);
    expect(await faultsOf(broken as unknown as Document)).toEqual([expect.stringMatching(fault)]);
  });

  it('are all applied, but for the example', () => {
    expect([...kustomization.resources].sort()).toEqual(files.filter((name) => !name.endsWith('.example.yaml')));
    expect(Object.keys(kustomization).sort()).toEqual(['apiVersion', 'images', 'kind', 'namespace', 'resources']);
  });

  it('run the image of this version', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(kustomization.images).toEqual([expect.objectContaining({ name: container.image, newTag: version })]);
  });
});

describe('the environment of a pod', () => {
  const given = { ...settings, ...secrets, ...own };
  const isSecret = (name: string) => variables[name as VariableName].isSecret;
  /** With what the operator writes where the example is empty. */
  const filled: Strings = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, value || `Aa1-${randomBytes(16).toString('hex')}`]),
  );
  const started: Strings = { ...filled, CORS_ORIGINS: 'https://app.example.com', ADMIN_EMAIL: 'ann@example.com' };
  const faultsWith = (environment: Strings): readonly string[] => {
    try {
      readEnvironment(environment);
      return [];
    } catch (error) {
      if (error instanceof ConfigurationError) return error.faults;
      throw error;
    }
  };

  it('has only variables that there are, each once, and comes from what is there', () => {
    const names = [...Object.keys(settings), ...Object.keys(secrets), ...Object.keys(own)];
    expect(names.filter((name) => !(name in variables))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
    const [{ configMapRef }, { secretRef }] = container.envFrom;
    expect(configMapRef).toEqual({ name: one<Document>('ConfigMap').metadata.name });
    expect(secretRef).toEqual({ name: one<Document>('Secret').metadata.name });
  });

  it('has its secrets in the Secret', () => {
    expect([...Object.keys(settings), ...Object.keys(own)].filter(isSecret)).toEqual([]);
    const common = ['DATABASE_URL', 'JWT_SECRET', 'REDIS_URL', 'SMTP_URL', 'METRICS_TOKEN', 'S3_SECRET_ACCESS_KEY'];
    expect(common.filter((name) => !(name in secrets))).toEqual([]);
  });

  it('is enough for production once the Secret is filled in, and not before', () => {
    expect(started.NODE_ENV).toBe('production');
    expect(faultsWith(started)).toEqual([]);
    expect(faultsWith(given).map((fault) => fault.split(' ')[0])).toEqual([
      'JWT_SECRET',
      'S3_ACCESS_KEY_ID',
      'S3_SECRET_ACCESS_KEY',
    ]);
  });

  it('keeps nothing on the disk of a pod that has to outlive it', () => {
    expect(started).toMatchObject({ STORAGE_DRIVER: 's3' });
    const writable = container.volumeMounts.map(({ mountPath }) => mountPath);
    expect(writable.sort()).toEqual(['/tmp', own.DATA_DIR].sort());
    expect(container.volumeMounts.map(({ name }) => name)).toEqual(pod.spec.volumes.map(({ name }) => name));
    expect(pod.spec.volumes.every(({ emptyDir }) => emptyDir)).toBe(true);
  });
});

describe('the parts know each other', () => {
  const services = all<Service>('Service');
  const [port] = container.ports;

  it('by port', () => {
    expect(own.PORT).toBe(String(port.containerPort));
    const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
    expect(probes.map(({ httpGet }) => httpGet.port)).toEqual([port.name, port.name, port.name]);
    expect(services.flatMap(({ spec }) => spec.ports.map(({ targetPort }) => targetPort))).toEqual(['http', 'http']);
    const policy = one<{ spec: { ingress: { ports: { port: string }[] }[] } }>('NetworkPolicy');
    expect(policy.spec.ingress.flatMap(({ ports }) => ports.map((open) => open.port))).toEqual([port.name]);
  });

  it('by label', () => {
    const { labels } = pod.metadata;
    const selectors = [
      deployment.spec.selector.matchLabels,
      ...pod.spec.topologySpreadConstraints.map(({ labelSelector }) => labelSelector.matchLabels),
      ...services.map(({ spec }) => spec.selector),
      one<{ spec: { selector: Selector } }>('PodDisruptionBudget').spec.selector.matchLabels,
      one<{ spec: { podSelector: Selector } }>('NetworkPolicy').spec.podSelector.matchLabels,
    ];
    expect(selectors).toHaveLength(7);
    for (const selector of selectors) expect(labels).toMatchObject(selector);
  });

  it('by name', () => {
    const { kind, metadata } = one<Document>('Deployment');
    const { scaleTargetRef, minReplicas } = one<{ spec: { scaleTargetRef: object; minReplicas: number } }>(
      'HorizontalPodAutoscaler',
    ).spec;
    expect(scaleTargetRef).toEqual({ apiVersion: 'apps/v1', kind, name: metadata.name });
    expect(deployment.spec.replicas).toBeUndefined();
    expect(minReplicas).toBeGreaterThanOrEqual(3);
    const routes = all<Ingress>('Ingress').flatMap(({ spec }) => spec.rules.flatMap(({ http }) => http.paths));
    expect(routes.map(({ path, backend }) => [path, backend.service.name])).toEqual([
      ['/', 'gatehouse'],
      ['/socket.io', 'gatehouse-sockets'],
    ]);
    for (const { backend } of routes) {
      const service = services.find(({ metadata: { name } }) => name === backend.service.name);
      expect(service?.spec.ports.map(({ name }) => name)).toContain(backend.service.port.name);
    }
  });
});

describe('a pod', () => {
  it('is asked at paths that there are, and is not started again for what starting does not mend', () => {
    const { paths } = JSON.parse(read('openapi.json')) as { paths: Record<string, { get?: object }> };
    const asked = (probe: Probe) => probe.httpGet.path;
    const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
    expect(probes.filter((probe) => !paths[asked(probe)]?.get)).toEqual([]);
    expect(asked(container.livenessProbe)).toBe('/health');
    expect(asked(container.startupProbe)).toBe('/api/v1/health');
  });

  it('has time to finish its requests', () => {
    const [, drainMs = ''] = /\bDRAIN_MS = ([\d_]+);/.exec(read('src/server/shutdown.ts')) ?? [];
    const drainSeconds = Number(drainMs.replaceAll('_', '')) / 1000;
    expect(drainSeconds).toBeGreaterThan(0);
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(
      container.lifecycle.preStop.sleep.seconds + drainSeconds,
    );
  });

  it('may do nothing but what it is for', () => {
    expect(pod.spec).toMatchObject({ automountServiceAccountToken: false });
    expect(pod.spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });
});

describe('docs/kubernetes.md', () => {
  const page = read('docs/kubernetes.md');

  it('makes a Secret with what the example has', () => {
    const [, command = ''] = /create secret generic gatehouse([\s\S]*?)```/.exec(page) ?? [];
    const keys = [...command.matchAll(/--from-literal=(\w+)=/g)].map(([, key]) => key);
    expect(keys.sort()).toEqual(Object.keys(secrets).sort());
  });

  it('counts the connections of the database', () => {
    const { maxReplicas } = one<{ spec: { maxReplicas: number } }>('HorizontalPodAutoscaler').spec;
    const pods = maxReplicas + 1;
    const each = Number(settings.DATABASE_POOL_SIZE) + 5;
    expect(page).toContain(`${pods} × ${each} = ${pods * each}`);
  });

  it('names files that there are', () => {
    const named = [...page.matchAll(/`([\w.-]+\.yaml)`/g)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => ![...files, 'kustomization.yaml'].includes(name))).toEqual([]);
  });
});
