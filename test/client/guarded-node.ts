// A fake node that checks who makes a request: it gives tokens for one user, and refuses what has none of them.

import type { RelayedLines } from './relayed-lines.ts'
import { type Fault, problem, type RelayedNode, type Seen } from './relayed-node.ts'

export const USER = { user: 'bob', password: 'correct horse' }
const LOGIN = '/v1/auth/login'

const unauthenticated = problem(401, 'unauthenticated', 'log in')

export class Guard {
  isOn = true
  expiresInMs = 600_000
  /** Tokens that are accepted. */
  readonly tokens = new Set<string>()
  /** In place of the answer to a login. */
  login: Fault | undefined
  readonly #node: RelayedNode
  #count = 0

  constructor(node: RelayedNode) {
    this.#node = node
    node.fault = (seen) => this.#judge(seen)
  }

  /** The logins that the node has received. */
  get logins(): readonly Seen[] {
    return this.#node.seen.filter(({ target }) => target === LOGIN)
  }

  /** The credentials of the requests for keys, in order. */
  get credentials(): readonly (string | undefined)[] {
    const asked = this.#node.asked.filter(({ target }) => target !== LOGIN)
    return asked.map(({ headers }) => headers.authorization)
  }

  /** Multiplexed connections have the credentials of the request that opens them. */
  watch(lines: RelayedLines): void {
    lines.isRefused = (authorization) =>
      this.isOn && authorization !== undefined && !this.accepts(authorization)
    lines.onItem = ([id], line) => {
      if (!this.isOn || this.accepts(line.authorization)) return false
      line.send([id, 1, unauthenticated.body, null, false])
      return true
    }
  }

  accepts(authorization: string | undefined): boolean {
    return authorization !== undefined && this.tokens.has(authorization.replace('Bearer ', ''))
  }

  #judge({ target, headers, body }: Seen): Fault | undefined {
    if (target === LOGIN) return this.login ?? this.#answer(body)
    // An operation of a multiplexed connection was judged before.
    if (headers.host === undefined || !this.isOn || this.accepts(headers.authorization)) return undefined
    return unauthenticated
  }

  #answer(body: Buffer): Fault {
    if (!this.isOn) return problem(400, 'bad_request', 'rights are not checked')
    if (body.toString() !== JSON.stringify(USER))
      return problem(401, 'unauthenticated', 'wrong user or password')
    const token = `token-${++this.#count}`
    this.tokens.add(token)
    return { status: 200, body: { token, expires_in_ms: this.expiresInMs } }
  }
}
