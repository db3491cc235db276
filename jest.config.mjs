// Nest 12 is published as ES modules; Jest runs CommonJS. swc compiles both our TypeScript and those packages to CommonJS.
const swc = (syntax) => [
  '@swc/jest',
  {
    swcrc: false,
    jsc: {
      target: 'es2022',
      parser: syntax === 'ts' ? { syntax: 'typescript', decorators: true } : { syntax: 'ecmascript' },
      transform: { legacyDecorator: true, decoratorMetadata: syntax === 'ts', useDefineForClassFields: false },
      keepClassNames: true,
    },
    module: { type: 'commonjs' },
    sourceMaps: 'inline',
  },
];

const esmPackages = [
  '@nestjs',
  '@zxcvbn-ts',
  'file-type',
  'mime',
  '@tus',
  'srvx',
  'strtok3',
  'token-types',
  'uint8array-extras',
  '@tokenizer',
  '@borewit',
  'load-esm',
  'es-toolkit',
  'content-disposition',
  'cookie',
  'uuid',
  'dotenv',
  'nodemailer',
  'otpauth',
  '@noble',
  'smtp-server',
  'postal-mime',
];

export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test', '<rootDir>/sdk/typescript/test'],
  testMatch: ['**/*.spec.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': swc('ts'), '^.+\\.(m?js)$': swc('js') },
  // The last folder of that name counts: packages bring other versions of their own.
  transformIgnorePatterns: [`/node_modules/(?!.*/node_modules/)(?!(${esmPackages.join('|')})/)`],
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  testTimeout: 300_000,
  maxWorkers: 2,
};
