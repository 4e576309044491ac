// Tokens stay in the tab: they survive a reload of the page, and end with the tab. The control token of a local cluster
// comes in the fragment of the URL, which no server receives. It is removed from there at once. What else pages keep in
// the tab ends with the login of its user.

import { signal } from '@preact/signals'

const USER = 'quorate.user'
const TOKEN = 'quorate.token'
const CONTROL = 'quorate.control'

/** The token of the user who has logged in. */
export const userToken = signal<string | undefined>(sessionStorage.getItem(TOKEN) ?? undefined)
/** The name of this user. It stays when the token has ended, until the user logs out. */
export const userName = signal<string | undefined>(sessionStorage.getItem(USER) ?? undefined)

/** Rises with each login: what was refused before is read again. */
export const logins = signal(0)

/** Allows faults and changes of nodes of a local cluster; undefined on the console of a node. */
export const controlToken: string | undefined = takeControlToken()

export function keepUserToken(name: string, token: string): void {
  if (userName.peek() !== undefined && userName.peek() !== name) clearTab()
  sessionStorage.setItem(USER, name)
  sessionStorage.setItem(TOKEN, token)
  userName.value = name
  userToken.value = token
  logins.value += 1
}

/** Replaces the token of the same user. Nothing is read again, unless requests were refused without a token. */
export function renewUserToken(token: string): void {
  const wasRefused = userToken.peek() === undefined
  sessionStorage.setItem(TOKEN, token)
  userToken.value = token
  if (wasRefused) logins.value += 1
}

/** Forgets a token that a node does not accept any more. */
export function dropUserToken(token: string | undefined): void {
  if (userToken.peek() !== token) return
  sessionStorage.removeItem(TOKEN)
  userToken.value = undefined
}

export function forgetUserToken(): void {
  clearTab()
  userName.value = undefined
  userToken.value = undefined
}

function clearTab(): void {
  sessionStorage.clear()
  if (controlToken !== undefined) sessionStorage.setItem(CONTROL, controlToken)
}

/**
 * Takes the token of an address that was pasted in this tab. Only the fragment changes then, so nothing is loaded: the
 * page begins again with it. Returns false for another fragment.
 */
export function takePastedToken(): boolean {
  if (findToken() === undefined) return false
  takeControlToken()
  location.reload()
  return true
}

function findToken(): string | undefined {
  return /^#token=([A-Za-z0-9_-]+)/.exec(location.hash)?.[1]
}

function takeControlToken(): string | undefined {
  const found = findToken()
  if (found === undefined) return sessionStorage.getItem(CONTROL) ?? undefined
  sessionStorage.setItem(CONTROL, found)
  history.replaceState(null, '', '#/')
  return found
}
