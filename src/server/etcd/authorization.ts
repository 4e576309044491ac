// The token of a client.

/** Credentials as the other wires have them: etcd's clients send a token without a scheme. */
export const asBearer = (token: string | undefined): string | undefined =>
  token === undefined || /^(?:basic|bearer) /i.test(token) ? token : `Bearer ${token}`
