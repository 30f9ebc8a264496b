"""
What ``videomt_bag`` is made of.

    reading     recordings, whole or damaged      cameras     which topics and frames are wanted
    pipeline    decode, network and tracks        journal     what is done so far, on disk
    writing     the results as a bag              outputs     video, tables, JSON, a page
    single      one recording from start to end   fleet       thousands of them
"""
