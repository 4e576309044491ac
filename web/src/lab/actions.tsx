// Actions of a person: two at once, and more for the node or message that is picked on the stage.

import { useState } from 'preact/hooks'
import type { MachineView, MessageView } from '../../../jepsen-lite/lab/view.ts'
import { Button } from '../design/button.tsx'
import { Select } from '../design/field.tsx'
import { Mark } from '../design/mark.tsx'
import './actions.css'
import {
  client,
  cutOffLeader,
  faultMs,
  leader,
  messageId,
  messages,
  nodes,
  picked,
  pickMessage,
  spares,
  write,
  writer,
} from './lab-state.ts'
import {
  crashLine,
  cutLinkLine,
  cutOffLine,
  deafLine,
  joinLine,
  messageLine,
  pauseLine,
  type ReadKind,
  readLine,
  removeLine,
  slowDiskLine,
  transferLine,
  writeLine,
} from './line-texts.ts'
import { lineWords } from './link-lines.ts'
import { LinkPanel } from './link-panel.tsx'
import { fateText, messageText } from './message-kinds.ts'
import { roleOf, stateText } from './node-states.ts'
import { DurationSelect, Group, Panel } from './panel.tsx'
import { PartitionPanel } from './partition-panel.tsx'

export function Actions() {
  const hasLeader = leader.value !== undefined
  const isBusy = writer.value === undefined
  return (
    <div class="actions">
      <div class="actions-first">
        <Button
          kind="primary"
          disabled={!hasLeader || isBusy}
          onClick={write}
          title={
            hasLeader
              ? isBusy
                ? 'All three clients wait for an answer'
                : 'A client writes at the leader (w)'
              : 'There is no leader yet'
          }
        >
          Write
        </Button>
        <Button
          disabled={!hasLeader}
          onClick={cutOffLeader}
          title={hasLeader ? 'No message reaches it or leaves it, for 5 s (c)' : 'There is no leader yet'}
        >
          Cut off the leader
        </Button>
        <Button
          title="Parts the cluster in two (p). A line through the ring does it too."
          pressed={picked.value?.kind === 'partition'}
          onClick={() => {
            picked.value = picked.value?.kind === 'partition' ? undefined : { kind: 'partition' }
          }}
        >
          Partition
        </Button>
        <Undo />
      </div>
      <PickedPanel />
    </div>
  )
}

function Undo() {
  const last = client.lines.value.at(-1)
  return (
    last !== undefined && (
      <Button
        kind="quiet"
        onClick={() => client.undo()}
        title={`Opens the run without its last action, at ${last.at} ms`}
      >
        Undo the {lineWords(last)}
      </Button>
    )
  )
}

function PickedPanel() {
  const { value } = picked
  if (value?.kind === 'node') {
    const node = nodes.value.find(({ name }) => name === value.name)
    if (node !== undefined) return <NodePanel key={node.name} node={node} />
  }
  if (value?.kind === 'message') {
    const message = messages.value.find((each) => messageId(each) === value.id)
    if (message !== undefined) return <MessagePanel key={value.id} message={message} />
    return (
      <Panel title="This message is gone">
        <p class="dim">It has arrived, or was lost. Go back to see it again.</p>
      </Panel>
    )
  }
  if (value?.kind === 'partition') return <PartitionPanel />
  if (value?.kind === 'link') return <LinkPanel from={value.from} to={value.to} />
  return (
    <p class="dim">
      Draw a line through the ring to part the cluster. Pick a node to crash, pause or cut it off, or to ask
      it something. Pick a message to lose, delay or double it.
    </p>
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// A node

const READS: readonly { readonly kind: ReadKind; readonly text: string; readonly title: string }[] = [
  { kind: 'get', text: 'linearizable', title: 'The leader confirms with a majority that it still leads' },
  {
    kind: 'lease',
    text: 'lease',
    title: 'Without a round while the leader has a lease, else as linearizable',
  },
  { kind: 'stale', text: 'stale', title: 'What this node has, at once' },
]

function NodePanel({ node }: { readonly node: MachineView }) {
  const { name, state, member } = node
  const isRunning = state === 'running'
  const ms = faultMs.value
  const asker = writer.value
  const canAsk = isRunning && asker !== undefined
  const why = isRunning
    ? asker === undefined
      ? 'All three clients wait for an answer'
      : undefined
    : `${name} does not run`
  const act = (line: string) => () => client.act(line)
  return (
    <Panel
      title={
        <>
          <Mark of={roleOf(node)} text={name} /> <span class="dim">{stateText(node)}</span>
        </>
      }
    >
      <Group title={`A client asks ${name}`}>
        <Button
          disabled={!canAsk}
          title={why}
          onClick={() => asker !== undefined && client.act(writeLine(asker, name))}
        >
          Write
        </Button>
        {READS.map(({ kind, text, title }) => (
          <Button
            key={kind}
            disabled={!canAsk}
            title={why ?? title}
            onClick={() => asker !== undefined && client.act(readLine(kind, asker, name))}
          >
            Read, {text}
          </Button>
        ))}
      </Group>
      <Group title="Break it">
        <DurationSelect />
        <Button disabled={state === 'down'} onClick={act(crashLine(name, ms))}>
          Crash
        </Button>
        <Button disabled={!isRunning} onClick={act(pauseLine(name, ms))}>
          Pause
        </Button>
        <Button onClick={act(cutOffLine(name, ms))}>Cut off</Button>
        <Button onClick={act(deafLine(name, 'in', ms))} title={`What others send to ${name} is lost`}>
          Let it hear nobody
        </Button>
        <Button onClick={act(deafLine(name, 'out', ms))} title={`What ${name} sends is lost`}>
          Let nobody hear it
        </Button>
        <Button disabled={state === 'down'} onClick={act(slowDiskLine(name, ms))}>
          Slow disk
        </Button>
      </Group>
      <CutLinks name={name} ms={ms} />
      <Group title="Operate">
        <Button
          disabled={
            !isRunning || member !== 'voter' || leader.value === undefined || leader.value.name === name
          }
          onClick={act(transferLine(name))}
        >
          Let it lead
        </Button>
        <Button
          disabled={member === 'none' || leader.value === undefined}
          onClick={() => client.act(removeLine(name, client.view.peek()?.members ?? []))}
        >
          Remove from the cluster
        </Button>
        {spares.value[0] !== undefined && (
          <Button
            disabled={leader.value === undefined}
            onClick={() => spares.value[0] !== undefined && client.act(joinLine(spares.value[0].name))}
          >
            Add {spares.value[0].name}
          </Button>
        )}
      </Group>
    </Panel>
  )
}

function CutLinks({ name, ms }: { readonly name: string; readonly ms: number }) {
  const others = nodes.value.filter((other) => other.name !== name)
  return (
    <Group title={`Cut one way, from ${name} to`}>
      {others.map((other) => (
        <Button
          key={other.name}
          label={`Cut from ${name} to ${other.name}`}
          onClick={() => client.act(cutLinkLine(name, other.name, ms))}
        >
          {other.name}
        </Button>
      ))}
    </Group>
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// A message

const DELAYS = [
  { value: '50', text: '50 ms' },
  { value: '300', text: '300 ms' },
  { value: '1000', text: '1 s' },
] as const

/** A decision takes effect at the next millisecond. */
const DECIDED_MS = 1

function MessagePanel({ message }: { readonly message: MessageView }) {
  const [delay, setDelay] = useState<(typeof DELAYS)[number]['value']>('300')
  const { arrivesAt, term } = message
  const isLate = arrivesAt <= (client.view.value?.now ?? 0) + DECIDED_MS
  const decided = fateText(message)
  const decide = (fate: 'lost' | 'late' | 'doubled') => () =>
    client.act(messageLine(message, fate, Number(delay)))
  return (
    <Panel title="A message">
      <p>
        {messageText(message)}, term {term}. It arrives at {(arrivesAt / 1000).toFixed(3)} s
        {decided === undefined ? '.' : `, and ${decided}.`}
      </p>
      {isLate && <p class="dim">It arrives now: go back to decide about it.</p>}
      <div class="panel-buttons">
        <Button disabled={isLate} onClick={decide('lost')}>
          Lose it
        </Button>
        <Button disabled={isLate} onClick={decide('late')}>
          Delay it
        </Button>
        <Button disabled={isLate} onClick={decide('doubled')}>
          Double it
        </Button>
        <Select label="by" value={delay} options={DELAYS} onChange={setDelay} />
      </div>
      <NextMessage message={message} />
    </Panel>
  )
}

/** Marks may be on top of each other. */
function NextMessage({ message }: { readonly message: MessageView }) {
  const all = messages.value
  const next = all[(all.findIndex((each) => messageId(each) === messageId(message)) + 1) % all.length]
  if (next === undefined || next === message) return null
  return (
    <Button kind="quiet" onClick={() => pickMessage(next)}>
      Next message
    </Button>
  )
}
