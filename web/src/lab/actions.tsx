// Actions of a person: two at once, and more for the node or message that is picked on the stage.

import { useState } from 'preact/hooks'
import type { MessageView } from '../../../jepsen-lite/lab/view.ts'
import { Button } from '../design/button.tsx'
import { Select } from '../design/field.tsx'
import './actions.css'
import { whyNotNow } from './first-words.ts'
import { Futures } from './futures-list.tsx'
import {
  client,
  cutOffLeader,
  leader,
  messageId,
  messages,
  nodes,
  picked,
  pickMessage,
  write,
  writer,
} from './lab-state.ts'
import { player } from './lesson/lesson-state.ts'
import { messageLine } from './line-texts.ts'
import { lineWords, withoutLastLine } from './link-lines.ts'
import { LinkPanel } from './link-panel.tsx'
import { fateText, messageText } from './message-kinds.ts'
import { NodePanel } from './node-panel.tsx'
import { Panel } from './panel.tsx'
import { PartitionPanel } from './partition-panel.tsx'

export function Actions() {
  const hasLeader = leader.value !== undefined
  const isBusy = writer.value === undefined
  const why = whyNotNow(hasLeader, !isBusy)
  return (
    <div class="actions">
      <div class="actions-first">
        <Button
          kind="primary"
          disabled={!hasLeader || isBusy}
          onClick={write}
          title="A client writes at the leader (w)"
        >
          Write
        </Button>
        <Button
          disabled={!hasLeader}
          onClick={cutOffLeader}
          title="No message reaches it or leaves it, for 5 s (c)"
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
      {why !== undefined && <p class="actions-why">{why}</p>}
      <PickedPanel />
      <Futures />
    </div>
  )
}

function Undo() {
  const last = withoutLastLine(client.link.value, player.lessonRun.value)?.line
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
