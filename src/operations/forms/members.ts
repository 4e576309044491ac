// Members of the cluster, as operations name them.

const PORT = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'

/** A regular expression: host:port of a peer listener. */
export const PEER_PATTERN = `^[^\\s\\x00-\\x1f\\x7f]+:${PORT}$`
export const PEER_CHARS_MAX = 300

/** A regular expression: the base URL of an API. */
export const URL_PATTERN = '^https?://[^\\s\\x00-\\x1f\\x7f?#]*[^\\s\\x00-\\x1f\\x7f?#/]$'
export const URL_CHARS_MAX = 2000

export interface NewReplica {
  /** The id of the replica: 64 bits as decimal digits, not 0. */
  readonly id: string
  /** `[a-z0-9-]{1,63}`, unique in the cluster. */
  readonly name: string
  /** host:port of its peer listener. */
  readonly peer: string
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
}

export const isPeerAddress = (text: string): boolean =>
  text.length <= PEER_CHARS_MAX && new RegExp(PEER_PATTERN, 'u').test(text)

export const isBaseUrl = (text: string): boolean =>
  text.length <= URL_CHARS_MAX && new RegExp(URL_PATTERN, 'u').test(text)

/** Clause about the failures that voters survive, as in "2 voters, which survive no failure". */
export function describeVoters(voters: number): string {
  const failures = Math.floor((voters - 1) / 2)
  const survived = failures > 1 ? `${failures} failures` : failures === 1 ? '1 failure' : 'no failure'
  return voters === 1 ? '1 voter, which survives no failure' : `${voters} voters, which survive ${survived}`
}
