// The nodes and links of a local cluster, as its supervisor reports them, and what the user does to them.

import { signal } from '@preact/signals'
import { decodeUtf8 } from '../../../src/bytes/utf8.ts'
import {
  ActionDocument,
  type ControlAction,
  ControlDocument,
  type ControlState,
  type DoneAction,
} from '../../../src/operations/documents/control.ts'
import { tryParseJson } from '../../../src/operations/forms/decode.ts'
import { decodeProblem } from '../../../src/operations/forms/problems.ts'
import { credentialHeaders, describeError } from './connection.ts'
import { splitLines } from './lines.ts'
import { RequestTurns } from './request-turns.ts'

export const controlState = signal<ControlState | undefined>(undefined)
/** The newest last. */
export const doneActions = signal<readonly DoneAction[]>([])
/** Why the supervisor cannot be reached; undefined: it can. */
export const controlError = signal<string | undefined>(undefined)

const ACTIONS_MAX = 200
const RESUME_MS = 1_000

/** Receives state and actions until the signal fires. */
export async function followControl(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await receive(signal)
    } catch (error) {
      if (!signal.aborted)
        controlError.value = `The supervisor of the cluster does not answer: ${describeError(error)}`
    }
    await new Promise((resolve) => setTimeout(resolve, RESUME_MS))
  }
}

/** Reads one stream of server-sent events. */
async function receive(signal: AbortSignal): Promise<void> {
  const response = await fetch('/control/events', {
    headers: credentialHeaders(),
    cache: 'no-store',
    credentials: 'omit',
    signal,
  })
  if (response.status !== 200 || response.body === null) throw new Error(await readProblem(response))
  controlError.value = undefined
  doneActions.value = []
  let event = ''
  for await (const bytes of splitLines(response.body)) {
    const line = decodeUtf8(bytes)
    if (line.startsWith('event: ')) event = line.slice('event: '.length)
    else if (line.startsWith('data: ')) take(event, JSON.parse(line.slice('data: '.length)))
  }
}

function take(event: string, data: unknown): void {
  if (event === 'state') controlState.value = ControlDocument.decode(data)
  else if (event === 'action')
    doneActions.value = [...doneActions.peek(), ActionDocument.decode(data)].slice(-ACTIONS_MAX)
}

/** A restart is answered when the node is ready. */
const actionTurns = new RequestTurns(2)

/** Makes the supervisor do it. Rejects with a sentence. */
export const control = (action: ControlAction, body: object = {}): Promise<void> =>
  actionTurns.take({}, () => sendAction(action, body))

async function sendAction(action: ControlAction, body: object): Promise<void> {
  const response = await fetch(`/control/${action}`, {
    method: 'POST',
    headers: { ...credentialHeaders(), 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    credentials: 'omit',
  })
  if (response.status !== 200) throw new Error(await readProblem(response))
}

async function readProblem(response: Response): Promise<string> {
  const problem = decodeProblem(tryParseJson(await response.text()), response.status)
  return problem?.detail ?? `status ${response.status}`
}
