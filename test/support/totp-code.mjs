// `node totp-code.mjs <answer of /auth/mfa/setup>`: what an authenticator app would show now.
import { URI } from 'otpauth';

process.stdout.write(URI.parse(JSON.parse(process.argv[2]).otpauth_uri).generate());
