import { ADDRESS_CHANGED, RESET, VERIFY } from '../../../test/support/mailboxes.js';
import { codeOf, wrongCodeFor } from '../../../test/support/second-factor.js';
import { AuthenticationError, ConflictError, GatehouseError, MfaRequiredError, ValidationError } from '../src/index.js';
import { ADMIN, all, failureOf, PASSWORD, TestServer } from './support.js';

describe('accounts', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.start();
  });
  afterAll(() => server.stop());

  describe('auth', () => {
    it('signs up and in, by email or username, and out', async () => {
      const api = server.client();
      const input = {
        email: 'jo@example.com',
        username: 'jo_doe',
        password: PASSWORD,
        first_name: 'Jo',
        last_name: 'Doe',
      };
      const user = await api.auth.register(input);
      expect(user).toMatchObject({ email: input.email, username: 'jo_doe', full_name: 'Jo Doe', role: 'user' });
      expect(await api.auth.isSignedIn()).toBe(false);
      await expect(api.users.me()).rejects.toMatchObject({ status: 401, code: 'not_authenticated' });
      const result = await api.auth.login({ username: 'jo_doe', password: PASSWORD });
      expect(result).toMatchObject({ token_type: 'bearer', expires_in: 900, user: { id: user.id } });
      await api.auth.login({ email: input.email, password: PASSWORD });
      expect(await api.auth.isSignedIn()).toBe(true);
      expect((await api.users.me()).id).toBe(user.id);
      await api.auth.logout();
      expect(await api.auth.isSignedIn()).toBe(false);
      await expect(api.users.me()).rejects.toThrow(AuthenticationError);
    });

    it('tells listeners until they have enough', async () => {
      const { api, email } = await server.user();
      const told: string[] = [];
      const stop = api.auth.onChange((event) => told.push(event));
      await api.auth.login({ email, password: PASSWORD });
      await api.auth.refresh();
      await api.auth.logout();
      await api.auth.logout();
      stop();
      await api.auth.login({ email, password: PASSWORD });
      expect(told).toEqual(['signed_in', 'refreshed', 'signed_out']);
    });

    it('says what is wrong with a registration', async () => {
      const { api, email } = await server.user();
      const taken = await failureOf(api.auth.register({ email, password: PASSWORD }));
      expect(taken).toBeInstanceOf(ConflictError);
      expect(taken.fieldErrors).toEqual({ email: [expect.any(String)] });
      await expect(api.auth.register({ email: 'x', password: PASSWORD })).rejects.toThrow(ValidationError);
    });

    it('lists the sessions and ends one, and logoutAll ends all', async () => {
      const { api, email } = await server.user();
      const [other, third] = [server.client(), server.client()];
      await other.auth.login({ email, password: PASSWORD });
      await third.auth.login({ email, password: PASSWORD });
      const page = await api.auth.sessions.list({ size: 2 });
      expect(page).toMatchObject({ total: 3, page: 1, size: 2, pages: 2 });
      const [session] = (await all(other.auth.sessions.iterate())).filter(({ is_current }) => is_current);
      await api.auth.sessions.end(session.id);
      await expect(other.users.me()).rejects.toThrow(AuthenticationError);
      expect(await other.auth.isSignedIn()).toBe(false);
      await api.auth.logoutAll();
      expect(await api.auth.isSignedIn()).toBe(false);
      await expect(third.users.me()).rejects.toThrow(AuthenticationError);
    });

    it('changes the password; this session stays and others end', async () => {
      const { api, email } = await server.user();
      const other = server.client();
      await other.auth.login({ email, password: PASSWORD });
      const wrong = { current_password: 'no', new_password: 'Another-Horse-2' };
      await expect(api.auth.changePassword(wrong)).rejects.toMatchObject({ status: 400 });
      await api.auth.changePassword({ ...wrong, current_password: PASSWORD });
      await api.users.me();
      await expect(other.users.me()).rejects.toThrow(AuthenticationError);
      await expect(other.auth.login({ email, password: PASSWORD })).rejects.toMatchObject({ code: 'login_failed' });
      await other.auth.login({ email, password: wrong.new_password });
    });

    it('sets a forgotten password by the token of the mail', async () => {
      const { api, email } = await server.user();
      const guest = server.client();
      expect(await guest.auth.forgotPassword(email)).toEqual({ message: expect.any(String) });
      await guest.auth.forgotPassword('nobody@example.com');
      const token = await server.mailedToken(email, RESET);
      await guest.auth.resetPassword({ token, new_password: 'Another-Horse-2' });
      await expect(api.users.me()).rejects.toThrow(AuthenticationError);
      await expect(guest.auth.resetPassword({ token, new_password: 'Another-Horse-3' })).rejects.toMatchObject({
        status: 400,
        code: 'invalid_one_time_token',
      });
      await guest.auth.login({ email, password: 'Another-Horse-2' });
    });

    it('confirms the address by the token of the mail, which can be sent again', async () => {
      const { api, email } = await server.user();
      await api.auth.verifyEmail(await server.mailedToken(email, VERIFY));
      expect((await api.users.me()).is_verified).toBe(true);
      const unverified = await server.user();
      await unverified.api.auth.resendVerification();
      await server.client().auth.resendVerification(unverified.email);
      await server.client().auth.resendVerification('nobody@example.com');
      await expect(server.client().auth.resendVerification()).rejects.toThrow(GatehouseError);
    });

    it('takes a change of the address back', async () => {
      const { api, email } = await server.user();
      await api.users.updateMe({ email: `new-${email}` });
      await server.client().auth.undoEmailChange(await server.mailedToken(email, ADDRESS_CHANGED));
      expect((await (await server.admin()).users.list({ search: email })).items).toMatchObject([{ email }]);
    });
  });

  it('mfa: set up, sign in in two steps, renew the recovery codes, turn off', async () => {
    const { api, email } = await server.user();
    expect(await api.auth.mfa.status()).toEqual({ enabled: false, required: false, recovery_codes_left: 0 });
    const { secret, otpauth_uri, qr_svg } = await api.auth.mfa.setup({ password: PASSWORD });
    expect(otpauth_uri).toContain(secret);
    expect(qr_svg).toContain('<svg');
    await expect(api.auth.mfa.confirm({ code: wrongCodeFor(secret) })).rejects.toMatchObject({ code: 'wrong_code' });
    const { recovery_codes } = await api.auth.mfa.confirm({ code: codeOf(secret) });
    expect(await api.auth.mfa.status()).toMatchObject({ enabled: true, recovery_codes_left: recovery_codes.length });

    const guest = server.client();
    const required = await failureOf(guest.auth.login({ email, password: PASSWORD }));
    expect(required).toBeInstanceOf(MfaRequiredError);
    expect(required).toMatchObject({ code: 'mfa_required', expiresIn: expect.any(Number) });
    expect(await guest.auth.isSignedIn()).toBe(false);
    const { mfaToken: mfa_token } = required as MfaRequiredError;
    const wrong = guest.auth.mfa.verify({ mfa_token, code: wrongCodeFor(secret) });
    await expect(wrong).rejects.toMatchObject({ name: 'AuthenticationError', code: 'wrong_code' });
    const { user } = await guest.auth.mfa.verify({ mfa_token, code: codeOf(secret, 1) });
    expect((await guest.users.me()).id).toBe(user.id);

    const proof = { password: PASSWORD, recovery_code: recovery_codes[0] };
    const renewed = (await guest.auth.mfa.renewRecoveryCodes(proof)).recovery_codes;
    expect(renewed).not.toContain(recovery_codes[1]);
    const again = (await failureOf(server.client().auth.login({ email, password: PASSWORD }))) as MfaRequiredError;
    await server.client().auth.mfa.verify({ mfa_token: again.mfaToken, recovery_code: renewed[0] });
    await api.auth.mfa.disable({ password: PASSWORD, recovery_code: renewed[1] });
    expect((await api.auth.mfa.status()).enabled).toBe(false);
  });

  it('mfa: an admin takes it off an account whose owner has lost it', async () => {
    const { api, id, email } = await server.user();
    const { secret } = await api.auth.mfa.setup({ password: PASSWORD });
    await api.auth.mfa.confirm({ code: codeOf(secret) });
    await (await server.admin()).admin.users.resetMfa(id);
    await server.client().auth.login({ email, password: PASSWORD });
  });

  describe('users', () => {
    it('creates, lists, finds, changes and deletes', async () => {
      const admin = await server.admin();
      const name = `made${Date.now()}`;
      const { id } = await admin.users.create({ email: `${name}@example.com`, password: PASSWORD, username: name });
      expect((await admin.users.list({ search: name })).items).toMatchObject([{ id, email: `${name}@example.com` }]);
      expect(await admin.users.get(id)).toMatchObject({ username: name });
      expect(await admin.users.update(id, { full_name: 'Made' })).toMatchObject({ full_name: 'Made' });
      expect(await admin.users.update(id, { full_name: null })).toMatchObject({ full_name: null });
      expect(await admin.users.delete(id)).toBeUndefined();
      await expect(admin.users.get(id)).rejects.toMatchObject({ name: 'NotFoundError' });
    });

    it('others are seen in the public view', async () => {
      const [{ api }, other] = [await server.user(), await server.user()];
      const seen = await api.users.get(other.id);
      expect(seen).toMatchObject({ username: other.username });
      expect(seen).not.toHaveProperty('email');
    });

    it('the own account: read, change, delete with the password', async () => {
      const { api, id } = await server.user();
      expect(await api.users.updateMe({ bio: 'Hello', phone_number: '+15551234567' })).toMatchObject({ id });
      expect(await api.users.me()).toMatchObject({ profile: { bio: 'Hello' }, stats: { total_uploads: 0 } });
      await expect(api.users.deleteMe('wrong')).rejects.toMatchObject({ status: 400 });
      expect(await api.auth.isSignedIn()).toBe(true);
      await api.users.deleteMe(PASSWORD);
      expect(await api.auth.isSignedIn()).toBe(false);
      await expect((await server.admin()).users.get(id)).rejects.toMatchObject({ status: 404 });
    });

    it('exports everything as an archive', async () => {
      const { api } = await server.user();
      const bytes = new Uint8Array(await new Response((await api.users.exportMe()).body).arrayBuffer());
      expect(String.fromCharCode(...bytes.slice(0, 2))).toBe('PK');
    });

    it('iterates over all pages', async () => {
      const admin = await server.admin();
      for (let made = 0; made < 3; made++) await server.user();
      const listed = await admin.users.list({ size: 100 });
      const ids = (await all(admin.users.iterate())).map(({ id }) => id);
      expect(ids.sort()).toEqual(listed.items.map(({ id }) => id).sort());
      const found = await all(admin.users.iterate({ search: ADMIN.email }));
      expect(found).toMatchObject([{ email: ADMIN.email }]);
    });
  });

  it('api keys: made, listed, used, limited by scopes, revoked', async () => {
    const { api, id } = await server.user();
    const expires_at = new Date(Date.now() + 60_000).toISOString();
    const made = await api.users.apiKeys.create({ name: 'ci', scopes: ['users:read'], expires_at });
    expect(made).toMatchObject({ name: 'ci', scopes: ['users:read'], expires_at, last_used_at: null });
    const { items } = await api.users.apiKeys.list();
    expect(items).toMatchObject([{ id: made.id, prefix: made.prefix }]);
    expect(items[0]).not.toHaveProperty('key');
    expect(await all(api.users.apiKeys.iterate())).toHaveLength(1);
    const program = server.client({ apiKey: made.key });
    expect((await program.users.me()).id).toBe(id);
    await expect(program.users.updateMe({ bio: 'x' })).rejects.toMatchObject({ code: 'insufficient_scope' });
    for (const call of [
      () => program.auth.login(ADMIN),
      () => program.auth.logout(),
      () => program.auth.mfa.verify({ mfa_token: 'x', code: '1' }),
    ])
      await expect(call()).rejects.toThrow('This client acts by an API key');
    await api.users.apiKeys.delete(made.id);
    await expect(program.users.me()).rejects.toThrow(AuthenticationError);
  });
});
