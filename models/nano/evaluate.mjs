// Asks qmesh-nano.gguf every question of eval/questions.json through the real engine and writes REPORT.md.
//
//   node models/nano/evaluate.mjs            (from a checkout in which `npm install` was run)
//   node models/nano/evaluate.mjs "hello"    asks just this and prints the answer
//
// Greedy (temperature 0), at most 120 tokens an answer, no system prompt unless the question names one.

import { readFile, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cpus } from 'node:os'
import { performance } from 'node:perf_hooks'
import { getLlama, JinjaTemplateChatWrapper } from 'node-llama-cpp'

const MAX_TOKENS = 120
const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const readJson = async (name) => JSON.parse(await readFile(here(name), 'utf8'))

/** One context with one sequence. */
async function openModel() {
  const llama = await getLlama({ build: 'never', gpu: false, logLevel: 'error' })
  // As the product runs it: for a model this small a second thread costs more than it gives.
  const threads = Number(process.env.NANO_THREADS ?? 1)
  const start = performance.now()
  const model = await llama.loadModel({ modelPath: here('qmesh-nano.gguf') })
  const context = await model.createContext({ contextSize: 1024, sequences: 1, threads })
  const loadMs = performance.now() - start
  // The template is followed to the letter, as the product does it: the same prompt gives the same tokens in both.
  const wrapper = new JinjaTemplateChatWrapper({
    template: model.fileInfo.metadata.tokenizer.chat_template,
    tokenizer: model.tokenizer,
    trimLeadingWhitespaceInResponses: false,
  })
  return { llama, model, sequence: context.getSequence(), wrapper, loadMs, threads }
}

/** Returns the answer, whether the model ended it by itself, and how long the tokens took. */
async function answer({ model, sequence, wrapper }, chatHistory) {
  const { contextText } = wrapper.generateContextState({
    chatHistory: [...chatHistory, { type: 'model', response: [''] }],
  })
  const prompt = contextText.tokenize(model.tokenizer)
  await sequence.clearHistory()
  const tokens = []
  let ended = false
  let firstAt = 0
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (firstAt === 0) firstAt = performance.now()
    if (model.isEogToken(token)) {
      ended = true
      break
    }
    tokens.push(token)
    if (tokens.length === MAX_TOKENS) break
  }
  return { text: model.detokenize(tokens), tokens, ended, generatingMs: performance.now() - firstAt }
}

async function ask(engine, question) {
  const history = question.system === undefined ? [] : [{ type: 'system', text: question.system }]
  let last
  for (const turn of question.turns) {
    history.push({ type: 'user', text: turn })
    last = await answer(engine, history)
    history.push({ type: 'model', response: [last.text] })
  }
  return last
}

/** An answer is well-formed if it is one that the knowledge holds, or a story with one and the same hero throughout. */
function wellFormed(text, answers, plots) {
  if (answers.has(text)) return true
  return plots.some((plot) => {
    const noun = plot.exec(text)?.groups?.noun
    return noun !== undefined && new RegExp(`\\b${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}\\b`).test(text)
  })
}

function plotPattern(plot) {
  const escaped = plot.replace(/[.*+?^$()|[\]\\]/g, '\\$&')
  let named = false
  return new RegExp(
    `^${escaped.replace(/\{(a|the|The)\}/g, (_, form) => {
      const noun = named ? '\\k<noun>' : '(?<noun>[a-z]+( [a-z]+){0,2})'
      named = true
      return `${form === 'a' ? 'an?' : form} ${noun}`
    })}$`,
  )
}

const percent = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]

async function main() {
  const engine = await openModel()
  if (process.argv[2] !== undefined) {
    console.log((await ask(engine, { turns: process.argv.slice(2) })).text)
    return engine.llama.dispose()
  }
  const { rules, questions } = await readJson('eval/questions.json')
  const { whole, stories } = await readJson('eval/answers.json')
  const answers = new Set(whole)
  const plots = stories.map(plotPattern)

  const results = []
  for (const question of questions) {
    const given = await ask(engine, question)
    const rule = rules[question.rule]
    const right =
      rule.all.every((pattern) => new RegExp(pattern).test(given.text)) &&
      !rule.none.some((pattern) => new RegExp(pattern).test(given.text))
    results.push({ question, ...given, right, formed: wellFormed(given.text, answers, plots) })
  }
  const loads = [engine.loadMs]
  const speed = await measureSpeed(engine)
  await engine.model.dispose()
  for (let i = 0; i < 4; i++) {
    const start = performance.now()
    const model = await engine.llama.loadModel({ modelPath: here('qmesh-nano.gguf') })
    await model.createContext({ contextSize: 1024, sequences: 1, threads: engine.threads })
    loads.push(performance.now() - start)
    await model.dispose()
  }
  const report = await write(results, speed, loads, engine)
  await writeFile(here('REPORT.md'), report)
  console.log(report)
  await engine.llama.dispose()
}

/** Tokens a second while generating, over the longest answers there are. */
async function measureSpeed(engine) {
  const speeds = []
  for (let i = 0; i < 15; i++) {
    const { tokens, generatingMs } = await answer(engine, [
      { type: 'user', text: 'Tell me a story about a fox' },
    ])
    speeds.push((1000 * (tokens.length - 1)) / generatingMs)
  }
  return speeds
}

async function write(results, speeds, loads, engine) {
  const held = results.filter(({ question }) => question.heldOut)
  const sets = [...new Set(results.map(({ question }) => question.set))]
  const ok = (list, test) => list.filter(test).length
  const row = (name, list, goal) => {
    const right = ok(list, (r) => r.right)
    return `| ${name} | ${list.length} | ${right} | ${percent(right, list.length)} | ${goal} |`
  }
  const goals = { qmesh: '≥ 90 %', outside: '≥ 95 %' }
  const ends = ok(held, (r) => r.ended)
  const formed = ok(held, (r) => r.ended && r.formed)
  const misses = results.filter((r) => !r.right || !r.ended || !r.formed)
  const manifest = await readJson('manifest.json')
  const lines = [
    '# What qmesh-nano gets right',
    '',
    'Written by `evaluate.mjs`. Held-out questions occur in no training text, not even with other capitals or',
    'punctuation; they and the rules that judge them were written before training. Greedy decoding through',
    `node-llama-cpp, at most ${MAX_TOKENS} tokens. The last stage of the training was planned after looking at the misses of`,
    'the one before; see `README.md`.',
    '',
    `Model: \`${manifest.sources[0].path}\`, ${manifest.artifact.bytes} bytes, SHA-256`,
    `\`${manifest.artifact.sha256}\`, ${manifest.facts.parameters} parameters, ${manifest.facts.quantization}.`,
    '',
    '## Held-out questions',
    '',
    '| set | questions | right | share | goal |',
    '| --- | --- | --- | --- | --- |',
    ...sets.map((name) =>
      row(
        name,
        held.filter(({ question }) => question.set === name),
        goals[name] ?? '',
      ),
    ),
    row('all', held, ''),
    '',
    '| quality | answers | share | goal |',
    '| --- | --- | --- | --- |',
    `| end by themselves within ${MAX_TOKENS} tokens | ${ends} of ${held.length} | ${percent(ends, held.length)} | ≥ 95 % |`,
    `| end by themselves and are well-formed | ${formed} of ${held.length} | ${percent(formed, held.length)} | ≥ 95 % |`,
    '',
    'Well-formed means: the answer is, letter for letter, one that the knowledge holds (those are written by hand), or a',
    'story whose hero is the same from start to end with the right article. Anything else counts as broken English.',
    '',
    ...(await overlapLines()),
    '## Speed',
    '',
    `Measured on ${engine.threads} threads (${cpus()[0].model.trim()}, ${cpus().length} cores), while other programs may have run.`,
    '',
    '| what | median | best | goal |',
    '| --- | --- | --- | --- |',
    `| tokens a second, one stream | ${median(speeds).toFixed(0)} | ${Math.max(...speeds).toFixed(0)} | ≥ 300 |`,
    `| model and context loaded, milliseconds | ${median(loads).toFixed(0)} | ${Math.min(...loads).toFixed(0)} | < 500 |`,
    '',
    '## First things people say',
    '',
    '"What is QMesh?" and "hello" are trained in these very words and do not count above; the others are held out.',
    '',
    ...results
      .filter(
        ({ question }) => FIRST.has(question.turns[0]) && question.turns.length === 1 && !question.system,
      )
      .flatMap(show),
    '## Misses',
    '',
    ...(misses.length === 0 ? ['None.', ''] : misses.flatMap(show)),
  ]
  return lines.join('\n')
}

const FIRST = new Set([
  'What is QMesh?',
  'How do I start a worker?',
  'What happens when a worker dies?',
  'hello',
  'Tell me a story about a fox',
  'Who won the world cup in 2014?',
])

async function overlapLines() {
  if (!existsSync(here('build/overlap.json'))) return []
  const { mean, rows } = await readJson('build/overlap.json')
  const equal = rows.filter(([share]) => share === 1).length
  return [
    `Nearest training question by shared words (Jaccard index): ${mean.toFixed(2)} on average; ${equal} of ${rows.length} held-out`,
    'questions have the same set of words as some training question, in another order or number. (Compared with the',
    'largest of the training stages; the exact check above covers all of them.)',
    '',
  ]
}

function show({ question, text, right, ended, formed }) {
  const marks = [
    right ? 'right' : 'wrong',
    ...(ended ? [] : ['does not end']),
    ...(formed ? [] : ['not well-formed']),
  ]
  return [
    `- **${question.turns.join(' → ')}**${question.system === undefined ? '' : ' (with a system prompt)'} (${question.set}, rule \`${question.rule}\`: ${marks.join(', ')})`,
    `  > ${text.replaceAll('\n', ' ')}`,
    '',
  ]
}

await main()
