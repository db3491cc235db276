import tseslint from 'typescript-eslint';

const typeChecked = {
  rules: {
    '@typescript-eslint/no-floating-promises': 'error',
    '@typescript-eslint/no-misused-promises': 'error',
    '@typescript-eslint/await-thenable': 'error',
    '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    eqeqeq: 'error',
    'no-console': 'error',
    // A test asks the HTTP server for its type-less body; typing each answer would test the test.
    '@typescript-eslint/no-explicit-any': 'error',
  },
};

export default tseslint.config(
  {
    ignores: [
      'dist',
      'data',
      'coverage',
      'node_modules',
      'bench/results',
      '**/dist',
      'sdk/typescript/docs',
      'sdk/typescript/src/schema.ts',
    ],
  },
  ...tseslint.configs.recommended,
  {
    files: ['src/**/*.ts', 'migrations/**/*.ts', 'test/**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    ...typeChecked,
  },
  {
    files: ['sdk/typescript/{src,test}/**/*.ts'],
    languageOptions: { parserOptions: { project: './sdk/typescript/tsconfig.test.json' } },
    ...typeChecked,
  },
  { files: ['test/**/*.ts', 'sdk/typescript/test/**/*.ts'], rules: { '@typescript-eslint/no-explicit-any': 'off' } },
);
