import { describe, expect, it } from 'vitest';
import { explain } from './report.ts';
import { parseScript, run } from './script.ts';

/** Bugs that a seed found, as the short script that was left of it, named after what holds since. */
const CASES: Readonly<Record<string, string>> = {
  'a switchover to the primary is done, whether it is asked there or at a secondary': `
    sites direct direct direct
    seed 117
    write a 2 1
    pass 20
    switchover b a
    again a
  `,
  'a command that is refused because another one is under way keeps its own name': `
    sites direct direct direct
    seed 140
    pass 100
    write a 2 1
    switchover a c
    switchover a b
  `,
  'a command whose target did not answer was not abandoned, if it was given again meanwhile and is done': `
    sites direct direct direct
    seed 2279
    write a 2 1
    pass 20
    write a 1 0
    pass 2
    switchover c b
    pass 1
    kill c
    start c
    write a 2 1
    switchover a c
    pass 10
    pass 5
    again c
  `,
  'one command that is given twice at once is done once, and both callers hear so': `
    sites direct direct
    seed 2283
    write a 2 1
    pass 20
    write a 3 0
    pass 2
    cut b a
    switchover a b
    write a 2 1
    pass 40
    write b 2 1
    switchover b a
    pass 5
    write b 3 0
    again b
  `,
  'a site that is fenced while its parts are compared stops feeding, and follows': `
    sites direct direct
    seed 458
    block b a
    write a 4 0
    pass 1000
    power-loss a
    promote b
    pass 10
    start a
    full a 303
    pass 5
  `,
  'a promotion during which another site is promoted takes a higher number, and leaves no promise that fences the other': `
    sites direct direct direct
    seed 41095
    write a 2 1
    pass 40
    isolate a
    isolate c
    dry-promote c
    pass 300
    promote b
    disk b 5 40
    promote c
    pass 5
  `,
  'the first commit of all is found in a divergence, too': `
    sites direct direct
    seed 41976
    write a 2 1
    pass 20
    stop b
    pass 10
    start b
    block b a
    pass 20
    promote b
    pass 10
  `,
  'a primary that asks others in the dry run of a promotion, and hears of a higher epoch, takes no more writes': `
    sites direct direct direct
    seed 2658
    write a 2 0
    pass 20
    isolate b
    kill b
    start b
    pass 20
    promote b
    pass 20
    heal
    dry-promote a
    pass 5
    write a 3 1
  `,
  'a primary that is asked for a promise by a site of a higher epoch takes no more writes': `
    sites direct direct direct
    seed 18476
    write a 1 0
    pass 100
    write a 1 1
    pass 1
    stop a
    pass 2
    promote b
    pass 20
    start a
    stop b
    stop c
    pass 100
    start-promoted c
    pass 5
    promote a
    pass 5
    write a 3 1
  `,
  'a handover is preceded by a restart entry, so that a disk that went back in time takes no position twice': `
    sites direct direct
    seed 66531
    write a 3 1
    switchover a b
    pass 8
    pass 8
    kill a
    keep-image b
    write b 3 0
    pass 50
    kill b
    restore-image b
    start a
    pass 10
    start b
    pass 4
    switchover b a
  `,
  'a promotion that is overtaken by a higher one takes back nothing of what its site follows by then': `
    sites direct direct direct direct direct
    seed 19044
    write a 2 1
    pass 20
    keep-image a
    write a 3 0
    pass 50
    kill a
    restore-image a
    start a
    pass 5
    promote a
    pass 2
    kill b
    promote c
  `,
  'a primary that lost its data takes no writes where its topic holds a stream': `
    sites topic topic
    seed 3015
    keep-image a
    write a 2 1
    pass 20
    kill a
    restore-image a
  `,
  'a reader of a topic counts although its position could not be looked up at first': `
    sites direct topic direct
    seed 4160
    write a 2 0
    pass 100
    block kafka b
    kill a
    pass 20
    start a
    pass 100
    pass 100
    write a 3 0
    fail-disk a open
    heal
    pass 40
  `,
  'a reader of a topic asks for a snapshot where retention took all frames, and its idle primary is further': `
    sites direct direct topic
    seed 12490
    kill c
    write a 3 2
    pass 5
    retain t 0
  `,
  'a primary goes on although a reader is fenced by an epoch that this primary has in its own history': `
    sites direct topic
    seed 655
    drill promotion
    write a 1 0
    pass 100
    keep-image a
    write a 3 0
    pass 5
    kill a
    restore-image a
  `,
  'a promise that the disk did not take is not given, and bars no later promotion': `
    sites direct direct direct
    seed 30139
    journals 1024
    drill promotion
    write a 2 1
    pass 20
    write a 3 0
    pass 2
    power-loss c
    pass 10
    full b
    power-loss a
    pass 100
    promote b
    start a
    pass 6
    write a 3 1
    write a 4 1
  `,
  'a promise that the disk did not take bars no handover': `
    sites direct direct
    seed 31381
    drill switchover
    write a 2 1
    pass 20
    half-open a b
    full b
    pass 100
    promote b
    isolate b
    pass 2
  `,
  'a reader of a topic that refused a primary many times links to another one at once': `
    sites topic topic
    seed 32305
    drill switchover
    keep-image a
    write a 3 0
    pass 50
    kill a
    restore-image a
    start a
    kill b
    pass 50
    kill a
    start a
    pass 5
    start b
    write a 4 0
    lose b kafka 0.02
    pass 300
  `,
  'a reader of a topic that could not go back counts once it has taken a snapshot': `
    sites topic topic
    seed 835
    journals 1024
    write a 3 0
    pass 1000
    suspend a
    promote b force
    pass 2000
    resume a
    pass 5
    promote a
    snapshot b
  `,
  'a divergence can be replayed where the journal no longer reaches back to its fork': `
    sites topic direct
    seed 11275
    journals 1024
    drill promotion
    write a 2 1
    pass 50
    suspend a
    pass 2000
    resume a
    write a 2 1
    pass 20
    write a 4 0
    snapshot a
  `,
  'a site that led in between takes its own frames, which come back through a topic, for what they are': `
    sites direct topic
    seed 120565
    drill switchover
    write a 3 0
    pass 10
    promote b force
    pass 8
    clock b -5000
    promote a force
    pass 100
    promote b force
  `,
  'a promotion takes a number above that of the primary that its site followed, of which it has no frame yet': `
    sites direct direct direct
    seed 121516
    write a 3 0
    pass 40
    write-http a 4
    pass 10
    write a 1 1
    delay b a 40 41
    stop a
    stop b
    pass 100
    start-promoted b
    start-follower a
    pass 20
    pass 40
    power-loss b
    pass 100
    kill c
    promote a
    pass 2
    pass 5
    write a 1 2
  `,
  'a handover that comes with a snapshot begins the next epoch when the snapshot is the history': `
    sites topic topic
    seed 1010480
    write a 2 1
    pass 20
    write a 2 1
    switchover a b
    pass 2
    write a 1 0
    pass 45
    write a 2 0
    pass 100
    write a 2 0
    isolate b
    pass 6
    write a 2 1
    pass 5
    retain t 1
  `,
  'a promise that a full disk did not take stands in the way of no later switchover': `
    sites direct direct direct direct
    seed 3004921
    drill switchover
    write a 4 3
    pass 5
    stop a
    full b
    promote b force
    stop c
    full d
    pass 20
  `,
  'an acknowledgement that a stalled primary hears late is of a secondary that kept the commit, before it followed another': `
    sites direct direct direct
    seed 2
    write a 2 1
    pass 50
    isolate c
    promote c force
    pass 200
    write a 1 1
    pass 1
    stall a
    pass 5
    heal
    pass 300
    resume a
  `,
  'so is one that a primary hears late of a reader of the topic': `
    sites direct direct topic
    seed 6
    write a 2 1
    pass 100
    isolate b
    promote b force
    pass 300
    write a 2 1
    pass 2
    block kafka a
    pass 30
    heal
    block kafka a
    pass 20
    unblock kafka a
    pass 100
  `,
  'a primary whose topic lost all records looks in the control topic for a claim before it begins a higher epoch': `
    sites topic topic topic
    seed 7020780
    write a 2 1
    pass 5
    suspend a
    promote c force
    pass 50
    resume a
    write a 2 1
    retain t 1
    pass 20
    retain t 0
  `,
  'a snapshot leads on where the topic lost all records behind it, and none of them was of its primary': `
    sites topic topic topic
    seed 7020780
    write a 2 1
    pass 5
    suspend a
    promote c force
    pass 50
    resume a
    write a 2 1
    pass 400
    retain t 0
  `,
  'a reader whose hello was overwritten by a late one, of its process before, is heard again': `
    sites topic topic
    seed 7031130
    write a 2 1
    pass 20
    dry-switchover a b
    power-loss b
    write a 1 0
    pass 10
    start b
    isolate kafka
    pass 350
    heal
    write a 2 1
    delay b kafka 0 80
    pass 120
    power-loss b
  `,
  'so is one whose last words came late, after its next hello': `
    sites topic topic direct direct direct
    seed 7092505
    drill switchover
    pass 40
    write-http a 2
    switchover d c
    stall d
    pass 500
    delay a kafka 0 80
    stop a
    pass 6
    power-loss a
  `,
  'where no site holds anything any more, a stream begins anew once the topics that tell of the old one are deleted': `
    sites topic topic topic
    seed 7063615
    keep-image a
    keep-image b
    keep-image c
    write a 2 1
    block c kafka
    pass 100
    kill a
    restore-image a
    kill b
    restore-image b
    retain t 0
  `,
  'a site that can not go back far enough waits for a whole tree, also where the topic still holds every frame': `
    sites topic topic topic topic
    seed 8030115
    journals 1024
    write a 2 1
    pass 20
    keep-image a
    write a 3 0
    pass 50
    kill a
    restore-image a
    start a
    isolate kafka
    pass 1000
    write a 1 0
    snapshot a
  `,
  'a target that began before a promotion superseded its epoch does not act for a command that was abandoned': `
    sites topic direct topic direct topic
    seed 8024950
    write a 4 0
    pass 2
    pass 1
    pass 20
    delay kafka d 0 80
    pass 1
    delay b d 5 20
    pass 2
    pass 2
    pass 2
    pass 2
    pass 2
    switchover a d
    pass 10
    write a 4 1
    kill c
    pass 40
    pass 40
    pass 40
    switchover e d
    switchover d b
    pass 100
    kill b
    promote a force
    pass 40
  `,
  'a reader finds its place where retention has removed the claim that it looks for': `
    sites topic topic
    seed 20008035
    journals 1024
    write a 2 1
    pass 20
    write a 3 0
    promote b force
    pass 10
    kill b
    write a 1 1
    pass 10
    retain t 1
  `,
  'a primary that went back in time is fenced by what a reader acknowledges, where its hello told less': `
    sites topic topic
    seed 9514390
    write a 2 1
    pass 20
    full b
    keep-image a
    write a 3 0
    pass 5
    kill a
    restore-image a
    retain t 0
  `,
  'a promotion that hears of an epoch of its number while others are asked takes a higher number': `
    sites topic direct
    seed 64001085
    write a 2 1
    pass 20
    keep-image a
    write a 2 0
    pass 5
    kill a
    restore-image a
    start a
    snapshot b
    pass 20
    pass 20
    pass 20
    suspend a
    promote b force
    pass 2000
    write b 2 1
    pass 2000
    resume a
    retain t 2
    suspend b
    promote a force
    pass 400
    write a 2 1
  `,
  'a target that has declined a command does not begin when a switchover is asked of it': `
    sites direct direct topic direct direct
    seed 21003950
    write a 2 1
    pass 20
    power-loss c
    pass 20
    start c
    write a 1 0
    pass 100
    power-loss a
    pass 200
    start a
    pass 20
    pass 10
    pass 1
    switchover b c
    power-loss e
    pass 200
    power-loss c
    cancel b
    start c
    pass 40
    switchover c b
  `,
  'a promotion exceeds the epoch that one before it was refused for': `
    sites direct direct direct
    seed 21021634
    block b c
    write a 3 0
    pass 100
    promote b force
    pass 40
    promote c
    pass 2
    block c a
    promote c
    pass 40
    write c 2 1
  `,
  'a promotion exceeds the epoch that a dry run before it heard of': `
    sites direct direct direct
    seed 1
    block b c
    write a 3 0
    pass 100
    promote b force
    pass 40
    dry-promote c
    pass 2
    block c a
    promote c
    pass 40
    write c 2 1
  `,
  'a promotion exceeds the epoch of a site whose dry run asked this one': `
    sites direct direct direct
    seed 3
    block b c
    write a 3 0
    pass 100
    promote b force
    pass 40
    dry-promote a
    pass 30
    isolate c
    promote c
    pass 40
    write c 2 1
  `,
  'a promotion exceeds the epoch that a dry run before it heard of, also after a restart': `
    sites direct direct direct
    seed 1
    block b c
    write a 3 0
    pass 100
    promote b force
    pass 40
    dry-promote c
    pass 30
    isolate c
    kill c
    start c
    pass 100
    promote c
    pass 300
    write c 2 1
  `,
  'a promotion exceeds the epoch of a site whose dry run asked this one, also after a restart': `
    sites direct direct direct
    seed 1
    block b c
    write a 3 0
    pass 100
    promote b force
    pass 40
    dry-promote a
    pass 30
    isolate c
    kill c
    start c
    pass 100
    promote c
    pass 300
    write c 2 1
  `,
  'a site that has heard of a promise to another one does not take over by a switchover': `
    sites direct direct direct direct
    seed 1
    write a 2 1
    pass 30
    block a d
    block d a
    block a c
    block c a
    block b c
    block c b
    pass 100
    disk c 60 80
    promote c force
    pass 40
    dry-promote b
    pass 30
    switchover a b
    pass 200
    write b 2 0
  `,
  'a promotion exceeds an epoch of which it hears while it asks for promises': `
    sites direct direct direct direct
    seed 4
    block b c
    block b d
    write a 3 0
    pass 100
    promote b force
    pass 40
    isolate c
    isolate d
    unblock d c
    unblock c d
    delay a c 90 150
    delay c d 60 95
    delay d c 60 95
    promote c force
    pass 80
    unblock a c
    unblock c a
    pass 60
    block c a
    pass 140
    write c 2 1
  `,
  'a primary of whose epoch a topic takes nothing goes on there in a higher one, however much waits': `
    sites direct direct direct direct topic
    seed 10
    write a 2 1
    power-loss c
    start c
    pass 100
    write-large primary 300 1
    promote d force
    pass 100
    isolate a
    promote a force
    write d 1 2
    pass 300
    promote c force
    pass 2
    write-large primary 300 0
  `,
};

describe('what a simulation found:', () => {
  it.each(Object.entries(CASES))('%s', async (_name, text) => {
    const outcome = await run(parseScript(text));
    expect(outcome.broken === undefined ? '' : await explain(outcome)).toBe('');
  });
});
