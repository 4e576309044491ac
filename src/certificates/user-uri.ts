// The name of a user in a certificate: a URI of its subject alternative name.

const PREFIX = 'quorate:user/'

/** Other characters than those of RFC 3986 §2.3 are percent-encoded: the URI is ASCII. */
export const userUri = (user: string): string => `${PREFIX}${encodeURIComponent(user)}`

/** Returns undefined for another URI, and for one that cannot be decoded. */
export function parseUserUri(uri: string): string | undefined {
  if (!uri.startsWith(PREFIX)) return undefined
  try {
    return decodeURIComponent(uri.slice(PREFIX.length)) || undefined
  } catch {
    return undefined
  }
}
