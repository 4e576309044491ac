// The program that serves this page: a node, or a local cluster with all its nodes (`console.json`). When a node does
// not answer any more, the page tries the other members, and goes to one that answers.

import { signal } from '@preact/signals'
import { ConsoleDocument, type ConsoleHost } from '../../../src/operations/documents/console.ts'
import { tryParseJson } from '../../../src/operations/forms/decode.ts'
import { decodeProblem } from '../../../src/operations/forms/problems.ts'
import { contact, describeError, isLoginOpen, setEndpoints } from './connection.ts'

export const consoleHost = signal<ConsoleHost | undefined>(undefined)

/** The member that the page tries now, to go there. */
export const triedMember = signal<string | undefined>(undefined)

export async function readConsoleHost(): Promise<void> {
  // Every client gets it: a token that has ended must not keep the page from its login.
  const response = await fetch('./console.json', { cache: 'no-store', credentials: 'omit' })
  const answer = tryParseJson(await response.text())
  if (!response.ok) {
    const problem = decodeProblem(answer, response.status)
    throw new Error(problem?.detail ?? `what answers is no console of quorate (status ${response.status})`)
  }
  const host = decodeHost(answer)
  consoleHost.value = host
  if (host.kind === 'cluster') setEndpoints(host.nodes.map(({ name, base }) => ({ node: name, base })))
  else setEndpoints([{ node: host.node, base: '' }])
}

function decodeHost(answer: unknown): ConsoleHost {
  try {
    return ConsoleDocument.decode(answer, '')
  } catch (error) {
    throw new Error(`what answers is no console of quorate: ${describeError(error)}`)
  }
}

const PROBE_MS = 1_500
const PAUSE_MS = 1_000
let isMoving = false

/**
 * Goes to another member when this node does not answer, and is not only slow. While a dialog is open, the page stays:
 * what was typed there would be lost, and what became of its change would not be said. A local cluster's console has an
 * endpoint for each node.
 */
contact.subscribe(({ state }) => {
  if (state === 'lost' && consoleHost.peek()?.kind === 'node' && !isMoving) void goToNextMember()
})

async function goToNextMember(): Promise<void> {
  isMoving = true
  try {
    while (contact.peek().state === 'lost') {
      const host = consoleHost.peek()
      if (hasOpenDialog() || (await isAlive())) {
        triedMember.value = undefined
        await pause()
        continue
      }
      for (const { name, url } of host?.kind === 'node' ? host.members : []) {
        if (host?.kind === 'node' && name === host.node) continue
        if (!canAsk(url)) continue
        triedMember.value = name
        if (!(await answers(url)) || hasOpenDialog()) continue
        location.replace(placeAt(url))
        return
      }
      await pause()
    }
  } finally {
    isMoving = false
    triedMember.value = undefined
  }
}

/** That of the login has nothing to lose, and opens by itself. */
const hasOpenDialog = (): boolean => !isLoginOpen.peek() && document.querySelector('dialog[open]') !== null

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))

/** Whether the node of this page is only slow. A proxy before it may answer for a node that has ended. */
async function isAlive(): Promise<boolean> {
  try {
    const { ok } = await fetch('/livez', {
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(PROBE_MS),
    })
    return ok
  } catch {
    return false
  }
}

/** The place that is shown, in the console of another member. */
export const placeAt = (url: string): string => `${url.replace(/\/$/, '')}/ui/${location.hash}`

/** Whether the console of a member may follow this one. It asks for a password, so it is as well protected. */
export const mayGoTo = (url: string): boolean =>
  location.protocol === 'https:' ? /^https:\/\//i.test(url) : /^https?:\/\//i.test(url)

/** The policy of the page has no form for IPv6 addresses: only the user can go there. */
export const canAsk = (url: string): boolean => mayGoTo(url) && /^\w+:\/\/[^[/]/.test(url)

/** Whether something listens there. The answer itself stays hidden from this page: it is of another origin. */
async function answers(url: string): Promise<boolean> {
  try {
    await fetch(new URL('/livez', url), {
      mode: 'no-cors',
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(PROBE_MS),
    })
    return true
  } catch {
    return false
  }
}
