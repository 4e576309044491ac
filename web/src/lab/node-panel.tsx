// The panel of a node: requests of clients to it, what breaks it, and what an operator can do.

import { useState } from 'preact/hooks'
import type { MachineView } from '../../../jepsen-lite/lab/view.ts'
import { Button } from '../design/button.tsx'
import { Select } from '../design/field.tsx'
import { Mark } from '../design/mark.tsx'
import { NO_CLIENT } from './first-words.ts'
import { client, faultMs, leader, nodes, spares, standing, writer } from './lab-state.ts'
import {
  compactLogLine,
  crashLine,
  cutLinkLine,
  cutOffLine,
  deafLine,
  fullDiskLine,
  joinLine,
  jumpLine,
  leasesLine,
  pauseLine,
  type RequestKind,
  removeLine,
  replaceLine,
  requestLine,
  skewLine,
  slowDiskLine,
  stallDiskLine,
  transferLine,
} from './line-texts.ts'
import { clockText, roleOf, stateText } from './node-states.ts'
import { DurationSelect, Group, MoreGroup, Panel } from './panel.tsx'

const act = (line: string) => () => client.act(line)

export function NodePanel({ node }: { readonly node: MachineView }) {
  const { name } = node
  const clock = clockText(node)
  return (
    <Panel
      title={
        <>
          <Mark of={roleOf(node)} text={name} /> <span class="dim">{stateText(node)}</span>
        </>
      }
    >
      {clock !== undefined && <p>{clock}</p>}
      <Requests node={node} />
      <Faults node={node} />
      <Operator node={node} />
    </Panel>
  )
}

// ---- requests

interface RequestButton {
  readonly kind: RequestKind
  readonly text: string
  readonly title?: string
}

const USUAL: readonly RequestButton[] = [
  { kind: 'put', text: 'Write' },
  {
    kind: 'get',
    text: 'Read, linearizable',
    title: 'The leader confirms with a majority that it still leads',
  },
  {
    kind: 'lease',
    text: 'Read, lease',
    title: 'Without a round while the leader has a lease, else as linearizable',
  },
  { kind: 'stale', text: 'Read, stale', title: 'What this node has, at once' },
]

const MORE: readonly RequestButton[] = [
  {
    kind: 'cas',
    text: 'Compare and set',
    title: 'Writes if the key still has the revision that the client saw last',
  },
  { kind: 'create', text: 'Put if absent', title: 'Writes if the key does not exist' },
  { kind: 'del', text: 'Delete' },
  { kind: 'once', text: 'Write with a token', title: 'The client may repeat it, and it takes effect once' },
  { kind: 'again', text: 'Ask again', title: 'Repeats the last write of this client that had a token' },
  { kind: 'watch', text: 'Watch', title: 'Changes of all keys, from now on. Each is an event of the run.' },
  { kind: 'grant', text: 'Grant a lease', title: 'Of the store: keys with it go when it ends' },
  { kind: 'attach', text: 'Write with that lease', title: 'The key b0, in Stores' },
  { kind: 'keep-alive', text: 'Keep leases alive' },
  { kind: 'revoke', text: 'Revoke a lease' },
  { kind: 'compact', text: 'Compact the history', title: 'Forgets earlier revisions of keys' },
]

const CLIENTS = [
  { value: '0', text: 'c1' },
  { value: '1', text: 'c2' },
  { value: '2', text: 'c3' },
] as const
const ANY_CLIENT = [{ value: 'free', text: 'any free one' }, ...CLIENTS] as const
const KEYS = [
  { value: '0', text: 'k0' },
  { value: '1', text: 'k1' },
  { value: '2', text: 'k2' },
  { value: '3', text: 'k3' },
] as const

function Requests({ node: { name, state } }: { readonly node: MachineView }) {
  const [chosen, setChosen] = useState<(typeof ANY_CLIENT)[number]['value']>('free')
  const [key, setKey] = useState<(typeof KEYS)[number]['value']>('0')
  const asker = chosen === 'free' ? writer.value : Number(chosen)
  const why =
    state !== 'running'
      ? `${name} does not run`
      : asker === undefined
        ? NO_CLIENT
        : standing.value.get(`c${asker + 1}`)
  const buttons = (list: readonly RequestButton[]) =>
    list.map(({ kind, text, title }) => (
      <Button
        key={kind}
        disabled={why !== undefined}
        title={why ?? title}
        onClick={() => asker !== undefined && client.act(requestLine(kind, asker, name, Number(key)))}
      >
        {text}
      </Button>
    ))
  return (
    <>
      <Group title={`A client asks ${name}`}>{buttons(USUAL)}</Group>
      <MoreGroup title="More requests">
        <Select label="client" value={chosen} options={ANY_CLIENT} onChange={setChosen} />
        <Select label="key" value={key} options={KEYS} onChange={setKey} />
        {buttons(MORE)}
      </MoreGroup>
    </>
  )
}

// ---- faults

const FAST = 3000
const SLOW = 300
const JUMP_MS = 1000

function Faults({ node: { name, state } }: { readonly node: MachineView }) {
  const ms = faultMs.value
  const isDown = state === 'down'
  const others = nodes.value.filter((other) => other.name !== name)
  return (
    <>
      <Group title="Break it">
        <DurationSelect />
        <Button disabled={isDown} onClick={act(crashLine(name, ms))} title="What it was writing is lost">
          Crash
        </Button>
        <Button disabled={state !== 'running'} onClick={act(pauseLine(name, ms))}>
          Pause
        </Button>
        <Button onClick={act(cutOffLine(name, ms))}>Cut off</Button>
        <Button disabled={isDown} onClick={act(slowDiskLine(name, ms))}>
          Slow disk
        </Button>
      </Group>
      <MoreGroup title="More faults">
        <Button disabled={isDown} onClick={act(crashLine(name, ms, 'kept'))}>
          Crash, last write kept
        </Button>
        <Button
          disabled={isDown}
          onClick={act(crashLine(name, ms, 'lost', true))}
          title="No connection is closed: the others notice by the silence"
        >
          Power loss
        </Button>
        <Button disabled={isDown} onClick={act(stallDiskLine(name, ms))} title="No write ends meanwhile">
          Stall the disk
        </Button>
        <Button disabled={isDown} onClick={act(fullDiskLine(name, ms))} title="Each write fails">
          Fill the disk
        </Button>
        <Button onClick={act(skewLine(name, FAST, ms))} title="It counts three seconds in one">
          Fast clock
        </Button>
        <Button onClick={act(skewLine(name, SLOW, ms))} title="It counts 0.3 seconds in one">
          Slow clock
        </Button>
        <Button onClick={act(jumpLine(name, JUMP_MS))}>Clock 1 s forwards</Button>
        <Button onClick={act(deafLine(name, 'in', ms))} title={`What others send to ${name} is lost`}>
          Let it hear nobody
        </Button>
        <Button onClick={act(deafLine(name, 'out', ms))} title={`What ${name} sends is lost`}>
          Let nobody hear it
        </Button>
      </MoreGroup>
      <MoreGroup title={`Cut one way, from ${name} to`}>
        {others.map((other) => (
          <Button
            key={other.name}
            label={`Cut from ${name} to ${other.name}`}
            onClick={act(cutLinkLine(name, other.name, ms))}
          >
            {other.name}
          </Button>
        ))}
      </MoreGroup>
    </>
  )
}

// ---- the operator

function Operator({ node: { name, state, member } }: { readonly node: MachineView }) {
  const [spare] = spares.value
  const isLed = leader.value !== undefined
  const noLeader = isLed ? undefined : 'There is no leader now'
  const members = client.view.value?.members ?? []
  // A node that was removed while it was away has not heard of it.
  const noMember = members.includes(name) ? noLeader : `${name} is no member`
  const isLast = members.length === 1 ? 'It is the last member' : undefined
  const noLead =
    member !== 'voter'
      ? `${name} does not vote`
      : state !== 'running'
        ? `${name} does not run`
        : leader.value?.name === name
          ? `${name} leads`
          : noLeader
  return (
    <>
      <Group title="Operate">
        <Button disabled={noLead !== undefined} title={noLead} onClick={act(transferLine(name))}>
          Let it lead
        </Button>
        <Button
          disabled={(noMember ?? isLast) !== undefined}
          title={noMember ?? isLast}
          onClick={act(removeLine(name, members))}
        >
          Remove from the cluster
        </Button>
        {spare !== undefined && (
          <>
            <Button disabled={!isLed} title={noLeader} onClick={act(joinLine(spare.name))}>
              Add {spare.name}
            </Button>
            <Button
              disabled={noMember !== undefined}
              title={noMember}
              onClick={act(replaceLine(name, members))}
            >
              Replace by {spare.name}
            </Button>
          </>
        )}
      </Group>
      <MoreGroup title="More of the operator">
        <Button
          disabled={state !== 'running'}
          onClick={act(compactLogLine(name, faultMs.value))}
          title="Deletes what its store has applied. A follower that was away then needs a snapshot."
        >
          Compact its log
        </Button>
        <Button disabled={!isLed} title={noLeader} onClick={act(leasesLine(true))}>
          Leader leases on
        </Button>
        <Button disabled={!isLed} title={noLeader} onClick={act(leasesLine(false))}>
          Leader leases off
        </Button>
      </MoreGroup>
    </>
  )
}
