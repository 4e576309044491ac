// A plugin of Stryker that excludes code from mutation:
//
//   texts         texts for people, which no test should repeat: messages of errors and assertions, log lines
//   unreachable   branches that the type check proves unreachable (`assertNever`)

import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'texts', {
    shouldIgnore({ node, parentPath }) {
      if (isInvariant(parentPath?.node) && parentPath.node.arguments[1] === node) return 'a text for people'
      if (node.type !== 'StringLiteral' && node.type !== 'TemplateLiteral') return undefined
      return isForPeople(node, parentPath?.node) ? 'a text for people' : undefined
    },
  }),
  declareValuePlugin(PluginKind.Ignore, 'unreachable', {
    shouldIgnore({ node }) {
      const only = node.type === 'SwitchCase' && node.test === null ? node.consequent[0] : node
      return isAssertNever(only) ? 'never reached, by its type' : undefined
    },
  }),
]

const LOGGING = ['debug', 'info', 'warn', 'error']

function isForPeople(node, parent) {
  // `new Refused(code, text)`: programs read the code, people the text.
  if (parent?.type === 'NewExpression' && parent.callee.name === 'Refused')
    return parent.arguments[1] === node
  if (parent?.type === 'NewExpression') return /(Error|Damage)$/.test(parent.callee.name ?? '')
  if (parent?.type !== 'CallExpression') return false
  const { callee } = parent
  return callee.type === 'MemberExpression' && LOGGING.includes(callee.property.name)
}

/** `invariant(condition, () => text)`, or with a plain string as its text. */
function isInvariant(node) {
  return node?.type === 'CallExpression' && node.callee.name === 'invariant'
}

function isAssertNever(node) {
  if (node?.type === 'ReturnStatement') return isAssertNever(node.argument)
  if (node?.type === 'ExpressionStatement') return isAssertNever(node.expression)
  return node?.type === 'CallExpression' && node.callee.name === 'assertNever'
}
