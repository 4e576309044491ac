// The parts of the design on one page, in the theme of the system: to look at them, and for the test of their contrast.

import { render } from 'preact'
import { useState } from 'preact/hooks'
import { ThemeButton } from './theme.tsx'
import './base.css'
import { Button } from './button.tsx'
import { SafeText } from './bytes-text.tsx'
import { Chart } from './chart.tsx'
import { CodeArea } from './code-area.tsx'
import { Command } from './command.tsx'
import { Confirmation } from './dialog.tsx'
import { Empty } from './empty.tsx'
import { Checkbox, Select, TextArea, TextField } from './field.tsx'
import { Figure, Figures } from './figure.tsx'
import './fonts.css'
import { Mark, type NodeState, type WriteOutcome } from './mark.tsx'
import { Notice } from './notice.tsx'
import './showcase.css'
import { Table } from './table.tsx'
import { Tabs } from './tabs.tsx'
import './tokens.css'

const NODES: readonly NodeState[] = [
  'leader',
  'follower',
  'learner',
  'candidate',
  'lagging',
  'down',
  'paused',
]
const OUTCOMES: readonly WriteOutcome[] = ['written', 'not-written', 'unknown']
const TIMES = Array.from({ length: 60 }, (_, at) => at * 1000)

function Showcase() {
  const [text, setText] = useState('config/app')
  const [isOpen, setOpen] = useState(false)
  return (
    <main class="showcase">
      <header class="showcase-head">
        <h1>Parts of the design</h1>
        <ThemeButton />
      </header>
      <p>The interface is ink on paper. Colour means a state, and each colour means one thing.</p>
      <section>
        <h2>States of nodes</h2>
        <p class="showcase-row">
          {NODES.map((each) => (
            <Mark key={each} of={each} />
          ))}
        </p>
        <h2>Outcomes of changes</h2>
        <p class="showcase-row">
          {OUTCOMES.map((each) => (
            <Mark key={each} of={each} />
          ))}
        </p>
      </section>
      <section>
        <h2>Buttons</h2>
        <p class="showcase-row">
          <Button kind="primary">Save</Button>
          <Button>Refresh</Button>
          <Button kind="quiet">Cancel</Button>
          <Button kind="danger" onClick={() => setOpen(true)}>
            Delete
          </Button>
          <Button disabled title="Needs the right to write here">
            Not allowed
          </Button>
        </p>
      </section>
      <section>
        <h2>Fields</h2>
        <div class="showcase-fields">
          <TextField
            label="Key"
            value={text}
            onInput={setText}
            isMono
            hint="Everything before the last / is a folder"
          />
          <TextField label="Lease" value="12x" onInput={() => {}} error="A lease is a number" />
          <Select
            label="Order"
            value="asc"
            onChange={() => {}}
            options={[
              { value: 'asc', text: 'ascending' },
              { value: 'desc', text: 'descending' },
            ]}
          />
          <TextArea label="Value" value={'{\n  "a": 1\n}'} onInput={() => {}} rows={4} />
          <Checkbox label="Values" checked onChange={() => {}} />
        </div>
        <CodeArea
          label="A text with a fault in line 3"
          value={'{\n  "a": 1,\n}'}
          onInput={() => {}}
          fault={12}
        />
      </section>
      <section>
        <h2>Sentences</h2>
        <Notice kind="problem" command="quorate cluster restart n2">
          n2 has not answered for 12 s
        </Notice>
        <Notice kind="warning">It is not known whether the change was made.</Notice>
        <Command text="quorate backup save store.backup" />
        <Notice kind="note">Nothing has changed since you read it.</Notice>
      </section>
      <section>
        <h2>Figures, table, chart</h2>
        <Figures>
          <Figure label="Writes" value="1,204/s" detail="p50 1.1 ms · p99 4.6 ms" />
          <Figure label="Revision" value="88,019" />
        </Figures>
        <Tabs
          label="Views"
          current="a"
          tabs={[
            { name: 'a', text: 'Locks', href: '#a', count: 3 },
            { name: 'b', text: 'Queues', href: '#b' },
          ]}
        />
        <Table
          caption="Members"
          rows={['n1', 'n2', 'n3']}
          rowKey={(name) => name}
          columns={[
            { head: 'Name', cell: (name) => name },
            { head: 'Role', cell: (name) => <Mark of={name === 'n2' ? 'leader' : 'follower'} /> },
            { head: 'Behind', isNumber: true, cell: () => '0' },
          ]}
        />
        <Chart
          label="Requests"
          times={TIMES}
          from={0}
          format={(value) => `${value.toFixed(0)}/s`}
          moments={[{ time: 30_000, text: 'n2' }]}
          lines={[
            {
              name: 'writes',
              color: '--written',
              values: TIMES.map((time) => 40 + 20 * Math.sin(time / 5000)),
            },
            {
              name: 'reads',
              color: '--ink',
              isDashed: true,
              values: TIMES.map((time) => 60 + 9 * Math.cos(time / 3000)),
            },
          ]}
        />
      </section>
      <section>
        <h2>Text that cannot deceive, and nothing</h2>
        <p>
          <SafeText text={'user\u202egnp.exe\u0000 <b>bold</b>\n'} />
        </p>
        <Empty title="No locks">
          <p>
            Take one: <code>quorate lock NAME -- COMMAND</code>
          </p>
        </Empty>
      </section>
      {isOpen && (
        <Confirmation
          title="Delete 3 keys?"
          action="Delete"
          typed="config/"
          onClose={() => setOpen(false)}
          onConfirm={async () => {}}
        >
          <p>Their history stays until it is compacted.</p>
        </Confirmation>
      )}
    </main>
  )
}

const root = document.getElementById('app')
if (root !== null) render(<Showcase />, root)
