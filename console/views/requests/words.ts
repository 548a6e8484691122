/** Why a worker was out, for people. */
const rejections: Readonly<Record<string, string>> = {
  excluded: 'tried before, or kept for one of ours that waited longer',
  protocol: 'speaks another version',
  model: 'does not hold the model',
  'model-hash': 'holds other weights of that name',
  'model-kind': 'holds a model of another kind',
  context: 'has too little context',
  tools: 'holds it with a template that knows no functions',
  'not-accepting': 'was pausing',
  overloaded: 'was overloaded',
  'queue-full': 'had a full queue',
  'at-limit': 'had as many of ours as it may',
  'breaker-open': 'was resting after failures',
  'probe-under-way': 'was being tried again',
  'refused-lately': 'refused a moment before',
}

const manners: Readonly<Record<string, string>> = {
  best: 'It was clearly the best',
  band: 'It was drawn among the best, which differed by less than 5 %',
  affinity: 'It was among the best, and it served this conversation before',
  trial: 'It was drawn to get to know it',
}

const groups: Readonly<Record<string, string>> = {
  'slot-free': 'free slot',
  'queue-empty': 'empty queue',
  queued: 'queue',
  loadable: 'would load the model',
}

const standings: Readonly<Record<string, string>> = {
  chosen: 'chosen',
  'in-band': 'as good',
  'below-band': 'not as good',
  later: 'only if others were out',
}

const toWord = (words: Readonly<Record<string, string>>, key: string): string =>
  words[key] ?? key.replaceAll('-', ' ')

export const toRejection = (reason: string): string => toWord(rejections, reason)
export const toManner = (manner: string): string => toWord(manners, manner)
export const toGroup = (group: string): string => toWord(groups, group)
export const toStanding = (standing: string): string => toWord(standings, standing)
