// Makes docs/fail-over.svg, the recording in docs/guides/local-cluster.md: runs the commands below on a new local
// cluster and writes down what they print on a terminal, and when. `npm run record`: needs `script` of util-linux, and
// that the default ports are free.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

const root = join(import.meta.dirname, '..')

/** Arguments of the command. */
const STEPS = [
  'cluster start --detach',
  'put greeting hello',
  'cluster kill leader',
  "put greeting 'still here'",
  'cluster status',
  'get greeting',
]

/** The pauses that are not those of the commands, in seconds. */
const TYPED_PER_CHARACTER = 0.04
const BEFORE_ENTER = 0.3
const AFTER_OUTPUT = 1
const AT_THE_END = 6

const COLUMNS = 80
const CHARACTER = 8.4
const LINE = 20
const MARGIN = 16
const COLOURS = { 31: '#ff7b72', 32: '#7ee787', 33: '#e3b341', 36: '#79c0ff' }
const TEXT = '#e6edf3'
const FAINT = '#8b949e'
const ESCAPE = '\u001b'
const COLOUR_OR_WORD = new RegExp(`${ESCAPE}\\[([\\d;]*)m|([^\\s${ESCAPE}]+|\\s+)`, 'g')

const dir = mkdtempSync(join(tmpdir(), 'quorate-recording-'))
try {
  const lines = await record()
  writeFileSync(join(root, 'docs/fail-over.svg'), picture(lines))
} finally {
  await run('cluster stop', () => {})
  rmSync(dir, { recursive: true, force: true })
}

/** The lines on the terminal: the text, and the time from the first to the last character. */
async function record() {
  const lines = []
  let now = 0.5
  for (const step of STEPS) {
    const command = `npx quorate ${step}`
    const typed = now + command.length * TYPED_PER_CHARACTER
    lines.push({ text: `${ESCAPE}[2m$${ESCAPE}[22m ${command}`, from: now, to: typed })
    now = typed + BEFORE_ENTER
    let output = ''
    const begun = performance.now()
    const seconds = () => now + (performance.now() - begun) / 1000
    const code = await run(step, (text) => {
      output += text
      const whole = output.split('\r\n')
      output = whole.pop()
      for (const line of whole) lines.push({ text: line, from: seconds(), to: seconds() })
    })
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${lines.at(-1).text}`)
    if (output !== '') lines.push({ text: output, from: seconds(), to: seconds() })
    now = seconds() + AFTER_OUTPUT
  }
  return lines
}

/** On a terminal of its own. */
function run(step, said) {
  const command = `stty cols ${COLUMNS}; '${process.execPath}' '${join(root, 'bin/kv.js')}' ${step}`
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child.stdout.setEncoding('utf8').on('data', said)
  return new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
}

function picture(lines) {
  const seconds = lines.at(-1).to + AT_THE_END
  const width = COLUMNS * CHARACTER + 2 * MARGIN
  const height = lines.length * LINE + 2 * MARGIN
  const percent = (at) => `${((100 * at) / seconds).toFixed(2)}%`
  const styles = lines.map(({ text, from, to }, at) => {
    const hidden = 'clip-path: inset(0 100% 0 0)'
    const steps = Math.max(1, stripVTControlCharacters(text).length)
    return `@keyframes l${at} { 0%, ${percent(from)} { ${hidden}; animation-timing-function: steps(${steps}) } ${percent(to + 0.01)}, 100% { clip-path: inset(0 0 0 0) } }
#l${at} { animation: l${at} ${seconds.toFixed(1)}s infinite }`
  })
  const texts = lines.map(({ text }, at) => {
    const y = MARGIN + LINE * (at + 0.7)
    return `<text id="l${at}" y="${y}">${spans(text)}</text>`
  })
  const said = lines.map(({ text }) => stripVTControlCharacters(text)).join('\n')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>A leader is killed, and the next write succeeds</title>
<desc>${escaped(said)}</desc>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: ${TEXT}; white-space: pre }
@media (prefers-reduced-motion: no-preference) {
${styles.join('\n')}
}
</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${texts.join('\n')}
</svg>
`
}

/** Each word at its column, so that tables stand whatever the font of the reader is. */
function spans(text) {
  const parts = []
  let column = 0
  let fill
  for (const [, code, word] of text.matchAll(COLOUR_OR_WORD)) {
    if (code !== undefined) fill = colourOf(code)
    else {
      if (word.trim() !== '') {
        const x = MARGIN + column * CHARACTER
        const size = `textLength="${(word.length * CHARACTER).toFixed(1)}" lengthAdjust="spacingAndGlyphs"`
        parts.push(
          `<tspan x="${x.toFixed(1)}" ${size}${fill === undefined ? '' : ` fill="${fill}"`}>${escaped(word)}</tspan>`,
        )
      }
      column += word.length
    }
  }
  if (column > COLUMNS) throw new Error(`wider than ${COLUMNS} columns: ${stripVTControlCharacters(text)}`)
  return parts.join('')
}

function colourOf(code) {
  if (code === '2') return FAINT
  return COLOURS[code]
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
