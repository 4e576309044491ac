// Faults of a local cluster: nodes and links that one can break by a click, and what clients saw of it.

import { useEffect, useState } from 'preact/hooks'
import { consoleHost } from '../../cluster/console-host.ts'
import { control, controlError, controlState, doneActions, followControl } from '../../cluster/control.ts'
import { Button } from '../../design/button.tsx'
import { Empty } from '../../design/empty.tsx'
import { Mark } from '../../design/mark.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatClock } from '../../design/numbers.ts'
import { PageFrame } from '../../design/page-frame.tsx'
import { type Act, shownState } from './act.ts'
import { runClient } from './clients.ts'
import './faults.css'
import { Lanes } from './lanes.tsx'
import { Links } from './links.tsx'
import { Ring } from './ring.tsx'

export function Page() {
  const [error, setError] = useState<string>()
  const [isRunning, setRunning] = useState(true)
  const host = consoleHost.value
  const state = controlState.value
  useEffect(() => {
    const ended = new AbortController()
    void followControl(ended.signal)
    return () => ended.abort()
  }, [])
  useEffect(() => {
    if (!isRunning || host?.kind !== 'cluster') return
    const ended = new AbortController()
    for (const { name, base } of host.nodes) void runClient({ node: name, base }, ended.signal)
    return () => ended.abort()
  }, [isRunning, host])
  const act: Act = (action, body = {}) => {
    setError(undefined)
    control(action, body).catch((cause: unknown) =>
      setError(cause instanceof Error ? cause.message : String(cause)),
    )
  }
  if (host?.kind !== 'cluster')
    return (
      <PageFrame title="Faults">
        <Empty title="This is the console of one node">
          <p>
            Faults belong to a local cluster: <code>quorate cluster start</code> prints the address of its
            console.
          </p>
        </Empty>
      </PageFrame>
    )
  const isBroken = state?.links.some((link) => link.state !== 'open') ?? false
  return (
    <PageFrame
      title="Faults"
      actions={
        <>
          <Button pressed={isRunning} onClick={() => setRunning(!isRunning)}>
            {isRunning ? 'Stop the clients' : 'Run clients'}
          </Button>
          <Button kind={isBroken ? 'primary' : 'plain'} disabled={!isBroken} onClick={() => act('heal')}>
            Heal all links
          </Button>
        </>
      }
    >
      {controlError.value !== undefined && <Notice kind="problem">{controlError.value}</Notice>}
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {state !== undefined && (
        <div class="faults">
          <section aria-labelledby="faults-nodes">
            <h2 id="faults-nodes">Nodes</h2>
            <NodeList act={act} />
            <h2>Links</h2>
            <p class="dim">A line is what one node sends to another. Click cuts it or joins it.</p>
            <Links links={state.links} nodes={state.nodes} act={act} />
          </section>
          <Ring state={state} act={act} />
        </div>
      )}
      <section aria-labelledby="faults-clients">
        <h2 id="faults-clients">What clients saw</h2>
        <Lanes nodes={host.nodes.map(({ name }) => name)} isRunning={isRunning} />
      </section>
      <section aria-labelledby="faults-done">
        <h2 id="faults-done">What was done</h2>
        <Done />
      </section>
    </PageFrame>
  )
}

function NodeList({ act }: { readonly act: Act }) {
  return (
    <ul class="fault-nodes">
      {controlState.value?.nodes.map(({ name, state, pid }) => (
        <li key={name}>
          <strong>{name}</strong>
          <Mark
            of={shownState(name)}
            {...(state === 'killed' || state === 'stopped' ? { text: state } : undefined)}
          />
          <span class="dim">{pid === undefined ? 'no process' : `process ${pid}`}</span>
          <span class="fault-actions">
            {state === 'running' && (
              <>
                <Button onClick={() => act('pause', { node: name })} label={`Pause ${name}`}>
                  Pause
                </Button>
                <Button onClick={() => act('kill', { node: name })} label={`Kill ${name}`}>
                  Kill
                </Button>
                <Button onClick={() => act('restart', { node: name })} label={`Restart ${name}`}>
                  Restart
                </Button>
              </>
            )}
            {state === 'paused' && (
              <Button onClick={() => act('resume', { node: name })} label={`Resume ${name}`}>
                Resume
              </Button>
            )}
            {(state === 'killed' || state === 'stopped') && (
              <Button kind="primary" onClick={() => act('start', { node: name })} label={`Start ${name}`}>
                Start
              </Button>
            )}
          </span>
        </li>
      ))}
    </ul>
  )
}

function Done() {
  const done = doneActions.value.toReversed()
  if (done.length === 0)
    return (
      <Empty title="Nothing yet">
        <p>Kill the leader, and watch the clients above: those of the other nodes wait for an election.</p>
      </Empty>
    )
  return (
    <ol class="fault-done">
      {done.slice(0, 50).map(({ timeMs: time, message }) => (
        <li key={`${time} ${message}`}>
          <time class="dim">{formatClock(time)}</time> {message}
        </li>
      ))}
    </ol>
  )
}
