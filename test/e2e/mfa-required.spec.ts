import { someEmail } from '../support/account-mails.js';
import { aSignedInUser, anAdmin, PASSWORD, signIn, type SignedIn } from '../support/builders.js';
import { codeOf, enableSecondFactor } from '../support/second-factor.js';
import { closeSockets, connect } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { claimsOf } from '../security/tools.js';

const MFA = '/api/v1/auth/mfa';
const FOR_ADMINS = '/api/v1/broadcasting/stats';

describe('a second factor that is required of admins', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ MFA_REQUIRED_FOR_ADMINS: 'true' });
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  const forAdmins = (auth: Record<string, string>) => app.http.get(FOR_ADMINS).set(auth);
  const keyOf = async ({ auth }: SignedIn, scopes: string[]): Promise<Record<string, string>> => {
    const { body } = await app.http.post('/api/v1/users/me/api-keys').set(auth).send({ name: 'k', scopes }).expect(201);
    return { 'X-API-Key': body.key };
  };
  const expectSetupAsked = async (auth: Record<string, string>) => {
    const { body } = await forAdmins(auth).expect(403);
    expect(body.error_code).toBe('mfa_setup_required');
    expect(body.detail).toContain('/api/v1/auth/mfa/setup');
  };
  const disable = ({ auth }: SignedIn, code: string) =>
    app.http.post(`${MFA}/disable`).set(auth).send({ password: PASSWORD, code });

  it('leaves an admin without one a user’s rights until it is set up', async () => {
    const admin = await anAdmin(app);
    await expectSetupAsked(admin.auth);
    expect(claimsOf(admin.accessToken).role).toBe('user');
    const { body: own } = await app.http.get('/api/v1/users/me').set(admin.auth).expect(200);
    expect(own).toMatchObject({ role: 'admin', is_superuser: true });
    const { body: list } = await app.http.get('/api/v1/users').set(admin.auth).expect(200);
    expect(list.items[0]).not.toHaveProperty('role');
    const { body: before } = await app.http.get(MFA).set(admin.auth).expect(200);
    expect(before).toEqual({ enabled: false, required: true, recovery_codes_left: 0 });

    const { recoveryCodes } = await enableSecondFactor(app, admin);
    await forAdmins(admin.auth).expect(200);
    const { body: after } = await app.http.get(MFA).set(admin.auth).expect(200);
    expect(after).toEqual({ enabled: true, required: true, recovery_codes_left: 10 });
    const { body: asked } = await app.http.post('/api/v1/auth/login').send({ email: admin.email, password: PASSWORD });
    const { body: signedIn } = await app.http
      .post(`${MFA}/verify`)
      .send({ mfa_token: asked.mfa_token, recovery_code: recoveryCodes[0] })
      .expect(200);
    expect(claimsOf(signedIn.access_token).role).toBe('admin');
    await forAdmins({ Authorization: `Bearer ${signedIn.access_token}` }).expect(200);
  });

  it('begun is not had', async () => {
    const admin = await anAdmin(app);
    const { body: setup } = await app.http
      .post(`${MFA}/setup`)
      .set(admin.auth)
      .send({ password: PASSWORD })
      .expect(200);
    await expectSetupAsked(admin.auth);
    await app.http.post(`${MFA}/confirm`).set(admin.auth).send({ code: 'x' }).expect(400);
    await expectSetupAsked(admin.auth);
    await app.http
      .post(`${MFA}/confirm`)
      .set(admin.auth)
      .send({ code: codeOf(setup.secret) })
      .expect(200);
    await forAdmins(admin.auth).expect(200);
  });

  it('turned off, lets the role sleep again', async () => {
    const admin = await anAdmin(app);
    const { recoveryCodes } = await enableSecondFactor(app, admin);
    await disable(admin, recoveryCodes[0]).expect(204);
    await expectSetupAsked(admin.auth);
    await enableSecondFactor(app, admin);
    await forAdmins(admin.auth).expect(200);
  });

  it('goes for API keys with the scope admin as well; other keys never come so far', async () => {
    const admin = await anAdmin(app);
    const { recoveryCodes } = await enableSecondFactor(app, admin);
    const [key, other] = [await keyOf(admin, ['admin']), await keyOf(admin, ['users:read'])];
    await forAdmins(key).expect(200);
    await disable(admin, recoveryCodes[0]).expect(204);
    await expectSetupAsked(key);
    expect((await forAdmins(other).expect(403)).body.error_code).toBe('insufficient_scope');
    const asUser = await app.http
      .post('/api/v1/users/me/api-keys')
      .set(admin.auth)
      .send({ name: 'k', scopes: ['admin'] })
      .expect(403);
    expect(asUser.body.error_code).toBe('mfa_setup_required');
  });

  it('is asked of whoever would create an admin, or a user while registration is closed', async () => {
    const closed = await startTestApp({ MFA_REQUIRED_FOR_ADMINS: 'true', REGISTRATION_OPEN: 'false' });
    for (const [at, isSuperuser] of [
      [app, true],
      [closed, false],
    ] as const) {
      const register = (auth: Record<string, string>) =>
        at.http
          .post('/api/v1/auth/register')
          .set(auth)
          .send({ email: someEmail(), password: PASSWORD, is_superuser: isSuperuser });
      const admin = await anAdmin(at);
      expect((await register(admin.auth).expect(403)).body.error_code).toBe('mfa_setup_required');
      await enableSecondFactor(at, admin);
      await register(admin.auth).expect(201);
      const other = await register((await aSignedInUser(at)).auth).expect(403);
      expect(other.body.error_code).toBe(isSuperuser ? 'admin_required' : 'registration_closed');
    }
    await closed.close();
  });

  it('asks nothing of users, who are told nothing of it', async () => {
    const user = await aSignedInUser(app);
    expect((await forAdmins(user.auth).expect(403)).body.error_code).toBe('forbidden');
    expect((await app.http.get(MFA).set(user.auth).expect(200)).body.required).toBe(false);
  });

  it('cannot be removed of others by an admin who has none', async () => {
    const [admin, user] = [await anAdmin(app), await aSignedInUser(app)];
    await enableSecondFactor(app, user);
    const remove = () => app.http.delete(`/api/v1/admin/users/${user.id}/mfa`).set(admin.auth);
    expect((await remove().expect(403)).body.error_code).toBe('mfa_setup_required');
    await enableSecondFactor(app, admin);
    await remove().expect(204);
    await signIn(app, user);
  });

  it('turned off, closes the sockets that were opened as an admin’s', async () => {
    const admin = await anAdmin(app);
    const { recoveryCodes } = await enableSecondFactor(app, admin);
    const socket = await connect(app, admin);
    expect(await socket.subscribe('private-role.admin')).toMatchObject({ ok: true });
    await disable(admin, recoveryCodes[0]).expect(204);
    expect(await socket.ended()).toBe('role_changed');
    const again = await connect(app, admin);
    expect(await again.subscribe('private-role.admin')).toMatchObject({ ok: false, error: { code: 403 } });
  });
});
