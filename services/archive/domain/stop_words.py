"""Which terms of a text say something about it: the top words of a conversation leave the others out."""

from __future__ import annotations

from typing import Final

from services.archive.domain.analyzer import is_unspaced, terms

SHORTEST_CHARS: Final = 3
"""Of terms of scripts with spaces; shorter ones are particles nearly everywhere."""

# Articles, pronouns, prepositions, conjunctions and auxiliary verbs of the languages most often written here, and what chats add.
_TEXT: Final = """
about after again all also and any are aren't because been before being but can can't could did didn't does doesn't
doing don't down for from get got had has have having her here hers him his how i'll i'm i've into isn't it's its just
let like may me might more most much must my not now off once only other our out over own same she should some such than
that that's the their them then there these they they're this those through too under until up very was wasn't we were
what when where which while who why will with won't would yes you your you're ok okay lol haha hahaha hahahaha http
https www com

que los las una uno unos unas del por para con sin sobre entre pero como más mas muy este esta estos estas ese esa eso
esto aquel hay qué quien cuando donde porque también tambien así asi bien ser soy eres era son está estan están estoy
fue han has hay sido tiene tengo nos les sus mis tus ella ellos ellas usted ustedes todo toda todos todas otra otro
desde hasta algo nada cada ya sí jaja jajaja jajajaja

não nao uma umas uns dos das nos nas pelo pela para por com sem mais muito mas também você voce vocês ele ela eles elas
isso isto essa esse está esta estou são foi ser ter tem tenho seu sua meu minha quando onde porque aqui ali até já como
qual quem tudo todos kkk kkkk

der die das den dem des ein eine einen einem einer und oder aber nicht auch noch nur schon sehr wie was wer wenn dann
denn doch mal ich du er sie wir ihr mich dich sich mir dir ihm uns euch mein dein sein ihre ist sind war waren bin bist
hat habe haben wird werden kann können mit von vom zum zur bei aus auf für über unter nach vor bis dass da hier ja nein
so

les des une est sont pas que qui quoi dans pour par sur avec sans mais plus très tres moi toi lui elle nous vous ils
elles mon ton son mes tes ses notre votre leur cette ces ça cela c'est j'ai d'accord être avoir fait tout tous aussi
bien comme quand où donc alors oui non était été ont ai as au aux du

che non per con una uno del della dei delle nel nella sono sei siamo hai ho ha abbiamo come cosa quando dove perché
perche anche più piu molto questo questa quello quella mio tuo suo noi voi loro lui lei gli alla alle dal dalla tra fra
era già poi così bene

het een van ook maar niet dat die dit deze voor met naar zijn was ben bent heeft heb hebben wij jij hij zij mijn jouw
hun aan bij uit nog wel dan als wat waar hoe wie omdat want geen veel over onder daar hier

yang dan itu ini untuk dari dengan tidak ada saya kamu aku dia kami kita mereka akan sudah belum juga bisa apa kalau
karena pada ke di ga gak nggak lagi aja saja nya sama tapi atau

bir ve bu şu için ile çok ama daha değil var yok ben sen biz siz onlar gibi kadar sonra önce mi mı mu mü ne nasıl neden
evet hayır tamam olarak olan oldu

nie się jest że jak ale czy tak już też tylko dla przez przed przy pod nad jego jej ich mnie ciebie tobie nas wam był
była było będzie

это как что так для или нет она они оно вы мы был была было были есть если когда где кто все всё уже еще ещё только меня
тебя его него нее ему нам вам вас нас мне мой твой наш ваш тут там вот при без под над про чтобы потому очень можно надо
да

من في على إلى عن هذا هذه ذلك التي الذي ما لا لم لن كان كانت هو هي هم أنا أنت نحن كل مع قد بعد قبل أو ثم إن أن هل يا

של את על לא זה זאת אני אתה היא הוא הם אנחנו עם כל מה גם או כי אם אבל יש אין היה

है हैं का की के को में से और पर यह वह ये वे था थी थे भी नहीं ही तो कि क्या जो एक हो कर मैं मेरा आप हम तुम कुछ लिए

hai hain nahi nahin kya kar mein main aur bhi toh tha thi the raha rahi
"""
_STOP_WORDS: Final = frozenset(terms(_TEXT))


def is_telling(term: str) -> bool:
    """Whether a term is a word that tells conversations apart: no particle, no number, no emoji."""
    if is_emoji(term) or term.isdigit() or term in _STOP_WORDS:
        return False
    return len(term) >= SHORTEST_CHARS or is_unspaced(term)


def is_emoji(term: str) -> bool:
    """Whether the analyzer made the term of an emoji: all others begin with a letter or a digit."""
    return not term[:1].isalnum()
