// Buttons of each client: what it does with the lock, and a standstill of its process.

import { signal } from '@preact/signals'
import { Button } from '../design/button.tsx'
import { Select } from '../design/field.tsx'
import { Mark } from '../design/mark.tsx'
import './client-acts.css'
import { client, leader, nodes, standing } from './lab-state.ts'
import { CLIENTS, lockLine, standStillLine } from './line-texts.ts'

const LOCK = [
  {
    kind: 'lock',
    text: 'Take the lock',
    title: 'Grants a lease, and creates the key job/lock with it, in Stores',
  },
  { kind: 'release', text: 'Release it', title: 'Revokes that lease, if the client holds the lock' },
  {
    kind: 'write',
    text: 'Write what it protects',
    title: 'The key job/result. The store does not ask who holds the lock',
  },
  {
    kind: 'fenced-write',
    text: 'Write with its token',
    title: 'The same key, if the lock still has the token that this client got',
  },
] as const
const STANDSTILLS = [6, 10]

const chosen = signal<number | undefined>(undefined)
const LEADER = 'leader'
const askedNode = signal(LEADER)

export function ClientActs() {
  return (
    <div class="client-acts">
      {Array.from({ length: CLIENTS }, (_, at) => {
        const name = `c${at + 1}`
        const still = standing.value.get(name)
        return (
          <Button
            key={name}
            pressed={chosen.value === at}
            title="Its lock, and its process"
            onClick={() => {
              chosen.value = chosen.value === at ? undefined : at
            }}
          >
            {still === undefined ? name : <Mark of="paused" text={still} />}
          </Button>
        )
      })}
      {chosen.value !== undefined && <Acts at={chosen.value} />}
    </div>
  )
}

function Acts({ at }: { readonly at: number }) {
  const node = askedNode.value
  const asked = node === LEADER ? leader.value : nodes.value.find(({ name }) => name === node)
  const why =
    asked?.state === 'running'
      ? undefined
      : node === LEADER
        ? 'There is no leader now'
        : `${node} does not run`
  return (
    <div class="client-acts">
      <Select
        label="asks"
        value={node}
        options={[LEADER, ...nodes.value.map(({ name }) => name)].map((value) => ({ value, text: value }))}
        onChange={(value) => {
          askedNode.value = value
        }}
      />
      {LOCK.map(({ kind, text, title }) => (
        <Button
          key={kind}
          disabled={why !== undefined}
          title={why ?? title}
          onClick={() => client.act(lockLine(kind, at, node))}
        >
          {text}
        </Button>
      ))}
      {STANDSTILLS.map((seconds) => (
        <Button
          key={seconds}
          title="Its process sends nothing, and keeps its lease alive no longer"
          onClick={() => client.act(standStillLine(at, LEADER, seconds * 1000))}
        >
          Stand still for {seconds} s
        </Button>
      ))}
      {standing.value.has(`c${at + 1}`) && <p>It does what you choose now when it continues.</p>}
    </div>
  )
}
