/** Calls the product and insists on the expected status. */
export async function call(url, { method = 'GET', body, token, expect = 200 } = {}) {
  const response = await fetch(url, {
    method,
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status !== expect) throw new Error(`${method} ${url} answered ${response.status}: ${text}`);
  return text ? JSON.parse(text) : null;
}

export const accountOf = (n) => ({ email: `bench${n}@example.com`, username: `bench${n}`, password: 'Bench-Passw0rd' });

export const register = (server, account) =>
  call(`${server.url}/api/v1/auth/register`, { method: 'POST', body: account, expect: 201 });

export async function signIn(server, { email, password }) {
  const answer = await call(`${server.url}/api/v1/auth/login`, { method: 'POST', body: { email, password } });
  return answer.access_token;
}

/** The token of a new user. */
export async function signUp(server, account) {
  await register(server, account);
  return signIn(server, account);
}
