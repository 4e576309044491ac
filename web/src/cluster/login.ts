// Logins. A token lasts minutes, and a page is open for hours: the page logs in again before its token ends. For that
// the password stays in the memory of this page, and nowhere else. A reload of the page forgets it.

import { effect } from '@preact/signals'
import { logIn } from '../../../src/operations/log-in.ts'
import { needsLogin, run } from './connection.ts'
import { keepUserToken, renewUserToken, userName } from './credentials.ts'

/** Share of the life of a token after which the next one is requested. */
const RENEW_AFTER = 0.7
/** Pause after a request that failed, while the token lasts. */
const RETRY_MS = 5_000

interface Login {
  readonly name: string
  readonly password: string
}

let timer: ReturnType<typeof setTimeout> | undefined

/** Throws `RefusedError` or `NoAnswerError`. */
export async function logInAs(name: string, password: string): Promise<void> {
  const { result } = await run(logIn, { kind: 'log-in', user: name, password })
  keepUserToken(name, result.token)
  needsLogin.value = false
  renewLater({ name, password }, result.expiresInMs)
}

// A logout ends the renewal, and with it the last reference to the password.
effect(() => {
  if (userName.value === undefined) clearTimeout(timer)
})

function renewLater(login: Login, expiresInMs: number): void {
  const endsAt = performance.now() + expiresInMs
  clearTimeout(timer)
  timer = setTimeout(() => void renew(login, endsAt), expiresInMs * RENEW_AFTER)
}

async function renew(login: Login, endsAt: number): Promise<void> {
  const { name, password } = login
  try {
    const { result } = await run(logIn, { kind: 'log-in', user: name, password })
    if (userName.peek() !== name) return
    renewUserToken(result.token)
    renewLater(login, result.expiresInMs)
  } catch {
    // A password that was changed is refused each time. Then the token ends, and the page asks for a login.
    if (userName.peek() === name && performance.now() + RETRY_MS < endsAt)
      timer = setTimeout(() => void renew(login, endsAt), RETRY_MS)
  }
}
